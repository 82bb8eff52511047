"""Agents: who acts, and how they learn."""
