"""What a stage left, as artifacts of Prefect: a table of its metrics with what they mean, and its pictures inside the page."""

from __future__ import annotations

import base64
import importlib
import io
import math
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from emurl.core.engine import Result
from emurl.core.progress import say

PICTURES = 4  # of a stage at most
WIDTH, BYTES = 960, 400_000  # of one: artifacts lie in the server's database


def show(result: Result) -> None:
    """Show a stage that has just been made; a server that does not take it changes nothing of the stage."""
    artifact, stage = result.artifact, result.stage
    key = _key(artifact.pipeline, stage.name)
    told = f"{artifact.ref}: {result.headline}"
    try:
        create_table_artifact(table=metrics_table(result), key=f"{key}-metrics", description=told)
        files = [file for file in sorted(artifact.local.glob("*")) if file.suffix in (".png", ".gif")]
        for file in files[:PICTURES]:
            picture = as_data_url(file)
            if picture is not None:
                create_image_artifact(
                    image_url=picture, key=f"{key}-{_key(file.stem)}", description=f"{artifact.ref}: {file.name}"
                )
    except httpx.HTTPError as error:
        say(f"{stage.name}: its metrics and pictures are not shown by Prefect ({type(error).__name__})")


def metrics_table(result: Result) -> list[dict[str, Any]]:
    """One row a metric: its name, value and meaning; the headline first."""
    meanings: dict[str, str] = getattr(importlib.import_module(result.stage.module), "METRICS", {})

    def meaning(name: str) -> str:
        return meanings.get(name) or next((text for pattern, text in meanings.items() if fnmatch(name, pattern)), "")

    metrics = sorted(result.artifact.metrics.items(), key=lambda item: item[0] != result.stage.headline)
    return [{"metric": name, "value": _plain(value), "what it is": meaning(name)} for name, value in metrics]


def as_data_url(file: Path) -> str | None:
    """A picture as a `data:` URL of at most `BYTES`, made smaller where it has to be; of a film that is too large the first picture.

    None where it is no picture.
    """
    try:
        content = file.read_bytes()
        kind = file.suffix.removeprefix(".")
        with Image.open(io.BytesIO(content)) as picture:
            if len(content) > BYTES or (picture.width > WIDTH and kind == "png"):
                still = picture.convert("RGB")
                still.thumbnail((WIDTH, 4 * WIDTH))
                small = io.BytesIO()
                still.save(small, "JPEG", quality=80)
                content, kind = small.getvalue(), "jpeg"
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    if len(content) > BYTES:
        return None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def show_run(rows: list[dict[str, Any]]) -> None:
    """The closing table of a run."""
    lines = ["| stage | version | headline | seconds | path |", "|---|---|---|---|---|"]
    for row in rows:
        took = "skipped" if row["skipped"] else row["seconds"]
        lines.append(f"| {row['stage']} | {row['version']} | {row['headline']} | {took} | {row['path']} |")
    create_markdown_artifact("\n".join(lines), key="emurl-run", description="what the run left in the store")


def _key(*parts: str) -> str:
    """Letters, digits and dashes, as an artifact's key has to be."""
    return "-".join(
        "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in part.lower()) for part in parts
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has none
    return value if isinstance(value, (int, float, str)) or value is None else str(value)
