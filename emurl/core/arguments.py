"""A command line that says what is wrong with it in one line, as everything else does, and what may have been meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from emurl.core.refusals import meant


class Parser(argparse.ArgumentParser):
    """`argparse`, without the usage before an error, and with a guess at what a typing error was to be."""

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one line."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}, see `{self.prog} --help`\n")

    def parse_known_args(  # type: ignore[override]  # without the overloads
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Refuse what is left over here, where the options of the word are known, and not at the top."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            options = [option for action in self._actions for option in action.option_strings]
            unknown = left[0].partition("=")[0]
            self.error(f"{left[0]!r} is not known here{meant(unknown, options) or ', expected what the help shows'}")
        return found, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            told = meant(str(value), known) or f", expected one of {', '.join(known)}"
            raise argparse.ArgumentError(action, f"there is no {value!r}{told}")
