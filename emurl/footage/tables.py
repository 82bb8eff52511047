"""Tables of one stage that the next reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd


def with_columns(*columns: str, alone: bool = False) -> Callable[[Path], pd.DataFrame]:
    """A reader of a Parquet file that has these columns, and others unless `alone`: `artifact.read("runs.parquet", with_columns("url"))`."""

    def read(file: Path) -> pd.DataFrame:
        table = pd.read_parquet(file, columns=list(columns) if alone else None)
        missing: Sequence[str] = sorted(set(columns) - set(table))
        if missing:
            raise ValueError(f"it has no column {', '.join(missing)}")
        return table

    return read
