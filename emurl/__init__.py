"""emurl: learn to play a Game Boy game from other people's speedruns."""

__version__ = "0.1.0"
