"""The environments an agent acts in."""
