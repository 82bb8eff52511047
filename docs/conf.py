"""Sphinx reads this: Markdown pages through MyST, API pages from the docstrings, nothing fetched from the network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from emurl import __version__

project = "emurl"
author = "the emurl authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "notebooks", "log.md"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = "emurl"
html_show_copyright = False
# The theme's own fonts come from the reader's system; nothing is loaded from elsewhere.

# Docstrings are prose with `names` in single backquotes.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Source of every type that a signature names would be another site; names are left as they are.
nitpicky = False
suppress_warnings = [
    "myst.xref_missing",
    "ref.python",
]  # the second: a class is found where it is defined and where it is passed on


UNPACKED = re.compile(r"(?<![`\w*\\])(\*{1,2}(?=\w+\b(?!\*)))")


def _laid_out(lines: list[str]) -> list[str]:
    """What is laid out in columns, or indented, as literal blocks."""
    shown: list[str] = []
    for block in _blocks(lines):
        columns = sum("   " in line.strip() for line in block)
        first = next((number for number, line in enumerate(block) if line.startswith("  ")), len(block))
        if block and columns >= max(1, len(block) // 2):
            first = 1 if block[0].rstrip().endswith(":") else 0
        elif block and block[0].startswith(("* ", "- ")):
            first = len(block)
        shown += block[:first]
        if block[first:]:
            shown += ["", "::", "", *(f"    {line}" for line in block[first:])]
        shown.append("")
    return shown


def _blocks(lines: list[str]) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return blocks


def _docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are prose: what is laid out stays so, and `*shape` is a name and no emphasis."""
    if what == "module":
        lines[:] = _laid_out(lines)
    lines[:] = [UNPACKED.sub(r"\\\1", line) for line in lines]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _docstring)
