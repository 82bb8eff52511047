"""Finds the Game Boy screen in a video."""
