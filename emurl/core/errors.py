"""The two ways a run can fail, told apart because the shell tells them apart (exit 2 and exit 1), and the one way it is given up."""

from __future__ import annotations


class EmurlError(Exception):
    """A failure with one clear line for the user. `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(EmurlError):
    """What the user gave is wrong: a setting, a file, a URL. The line says what, where and what was expected."""

    exit_code = 2


class WorkError(EmurlError):
    """The input was right, the work failed: a disk full, every download refused, a training run gone to NaN."""

    exit_code = 1


class Pruned(BaseException):
    """A trial of a sweep is not worth finishing. Not an `Exception`, for nobody but the sweep is to catch it."""
