"""The two ways a run can fail, told apart because the shell tells them apart (exit 2 and exit 1), and the one way it is given up."""

from __future__ import annotations


class EmurlError(Exception):
    """A failure with one clear line for the user. `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(EmurlError):
    """What the user gave is wrong: a setting, a file, a URL. The line says what, where and what was expected."""

    exit_code = 2


class NotMade(InputError):
    """A stage that is asked for has no version yet.

    Attributes:
        pipeline, stage: what would make one. config, config_pipeline: the settings file that was given, and whose it is; for the hint.
        store: the store that was given.
    """

    def __init__(self, line: str, pipeline: str, stage: str) -> None:
        super().__init__(line)
        self.pipeline, self.stage = pipeline, stage
        self.config: str | None = None
        self.config_pipeline = pipeline
        self.store: str | None = None

    @property
    def command(self) -> str:
        """What makes it, with the options that were given."""
        words = ["emurl run", self.stage]
        if self.pipeline != self.config_pipeline:
            words.append(f"--config FILE (settings of {self.pipeline})")
        elif self.config is not None:
            words.append(f"--config {self.config}")
        return " ".join([*words, *([] if self.store is None else [f"--store {self.store}"])])

    def __str__(self) -> str:
        return f"{self.args[0]}, expected one: `{self.command}` makes it"


class WorkError(EmurlError):
    """The input was right, the work failed: a disk full, every download refused, a training run gone to NaN."""

    exit_code = 1


class Pruned(BaseException):
    """A trial of a sweep is not worth finishing. Not an `Exception`, for nobody but the sweep is to catch it."""
