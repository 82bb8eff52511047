"""The pipelines: one folder each, with a table of stages."""
