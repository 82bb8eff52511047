"""What every learning stage leaves beside its weights: the history of its training, the screen it was made for, pictures."""

from __future__ import annotations

import json

import cv2
import numpy as np

from emurl.core.errors import WorkError
from emurl.core.output import Output
from emurl.core.store import Artifact
from emurl.screen import ScreenSpec
from emurl.training.supervised import FitResult

HISTORY, SCREEN = "history.json", "screen.json"


def write_history(output: Output, **results: FitResult) -> None:
    """`history.json`: every training run of the stage by name, as lists of {step, name: value}."""
    rows = {name: result.history for name, result in results.items()}
    output.path(HISTORY).write_text(json.dumps(rows, indent=0), encoding="utf-8")


def write_screen(output: Output, spec: ScreenSpec) -> None:
    """`screen.json`: the screen this artifact was made for."""
    output.path(SCREEN).write_text(json.dumps(spec.to_dict()), encoding="utf-8")


def require_screen(artifact: Artifact, spec: ScreenSpec) -> None:
    """Check that `artifact` was made for the screen `spec`.

    Raises:
        InputError: it was made for another, or does not say for which.
    """
    made = artifact.read(SCREEN, lambda file: ScreenSpec.from_dict(json.loads(file.read_text(encoding="utf-8"))))
    spec.require(made, artifact.ref)


def write_picture(output: Output, name: str, picture: np.ndarray) -> None:
    """A picture uint8 (H, W) or RGB (H, W, 3) as PNG.

    Raises:
        WorkError: it cannot be written.
    """
    file = output.path(name)
    if not cv2.imwrite(str(file), picture[..., ::-1] if picture.ndim == 3 else picture):
        raise WorkError(f"{file}: the picture cannot be written, expected room on the disk for it")
