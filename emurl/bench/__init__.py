"""Measurements: ratios against a named peer, taken in the same run."""
