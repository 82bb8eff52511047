"""YAML as settings are written in: plain values only, and no key twice."""

from __future__ import annotations

import re
from typing import Any

import yaml

# YAML 1.1 reads 1e-4 as text: it wants the point, and the sign of the exponent.
_TERSE = re.compile(r"([-+]?)([0-9]*)(\.[0-9]*)?[eE]([-+]?)([0-9]+)")


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which PyYAML would silently take the last, and names the line of what is no value."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._looked_at: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # The first look at a mapping: later ones see what `<<` has merged into it, whose keys may come again.
        if id(node) not in self._looked_at:
            self._looked_at.add(id(node))
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        raise _refusal(key, f"{key.value} is there twice, expected it once")
                    seen.add(key.value)
        super().flatten_mapping(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError) as error:  # a date of the 45th, !!int x, 5000 digits
            raise _refusal(node, f"{str(node.value)[:60]} is not a value ({str(error)[:100]})") from None


def _refusal(node: yaml.Node, words: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, f"line {node.start_mark.line + 1}: {words}")


def read_yaml(text: str) -> Any:
    """The value that a text holds.

    Raises:
        yaml.YAMLError: it is not valid YAML, has a key twice, or a value that is none.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None


def hint_for(text: Any) -> str:
    """How to write a number that YAML reads as text: `1.0e-4` for `1e-4`; empty for anything else."""
    match = _TERSE.fullmatch(text) if isinstance(text, str) else None
    if match is None or not (match[2] or (match[3] or ".") != "."):
        return ""
    sign, whole, part, exponent_sign, exponent = match.groups()
    return f"{sign}{whole or 0}{part if part and part != '.' else '.0'}e{exponent_sign or '+'}{exponent}"
