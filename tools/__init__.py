"""Thin command lines over emurl, run from the repository's root."""
