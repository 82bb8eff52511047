"""What stages of several pipelines have in common."""
