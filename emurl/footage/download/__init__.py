"""From links to video files."""
