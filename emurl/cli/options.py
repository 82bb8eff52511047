"""What many words of the command line have in common: options, the store they are given, and how an answer is printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any


def add_store(parser: argparse.ArgumentParser, default: str = "data") -> None:
    """`--store URL`. `default`: what is taken where none is named, for people."""
    parser.add_argument("--store", metavar="URL", help=f"where artifacts are kept: a folder or s3://… (default: {default})")


def add_log(parser: argparse.ArgumentParser, default: Any) -> None:
    """`--log-json`."""
    parser.add_argument(
        "--log-json", action="store_true", default=default, help="log as JSON lines on stderr, without progress bars"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`, and `--log-json` behind the word."""
    # Taken before and after the word; what is not said here must not unsay what was said there.
    add_log(parser, default=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else")


def open_store(args: argparse.Namespace) -> Any:
    """The store of `--store`, `data` where none is named."""
    from emurl.core.store import Store

    return Store(args.store or "data")


def answer(args: argparse.Namespace, document: Any, text: Callable[[], str]) -> None:
    """Print a word's answer: as JSON where that was asked for."""
    print(json.dumps(document, indent=2, sort_keys=True, default=str) if args.json else text())
