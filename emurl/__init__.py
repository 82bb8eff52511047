"""emurl: learn to play a Game Boy game from other people's speedruns."""

import os

# NumPy's products are small here. Threads for them wait in loops, on cores that other videos and their decoders need: the screen
# of a video took four times the processor time with two. NumPy reads this once, so it is said before anybody imports it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Torch's threads wait for one another in loops as well, a moment that is nothing where they have the cores to themselves and most of the
# time where somebody else is at work, too (docs/log.md). They give up sooner now. Read once by GNU's OpenMP, when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__version__ = "0.1.0"
