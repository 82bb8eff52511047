"""What learning stages leave beside their weights, and what is said when it does not fit."""

import json

import numpy as np
import pytest
from PIL import Image

from emurl.core.errors import InputError, WorkError
from emurl.core.output import Output
from emurl.screen import ScreenSpec
from emurl.training.outputs import require_screen, write_history, write_picture, write_screen
from emurl.training.supervised import FitResult
from tests.fixtures.learning import artifact


@pytest.fixture
def output(tmp_path):
    return Output(tmp_path / "files", tmp_path / "scratch")


def test_the_screen_is_checked(output):
    write_screen(output, ScreenSpec(shades=256))
    made = artifact("tokenizer", output.folder)
    require_screen(made, ScreenSpec(shades=256))
    with pytest.raises(InputError, match=r"tokenizer@v1 was made for screen .*256.*, expected .*'shades': 4"):
        require_screen(made, ScreenSpec())


def test_histories_by_name(output):
    rows = [{"step": 1, "loss": 0.5}]
    write_history(output, inverse_1=FitResult(rows, 1, 0.1, 8, 1), policy_1=FitResult([], 0, 0.0, 0, 0))
    assert json.loads(output.path("history.json").read_text()) == {"inverse_1": rows, "policy_1": []}


def test_pictures_keep_their_colors(output):
    color = np.zeros((2, 3, 3), np.uint8)
    color[..., 0] = 200
    write_picture(output, "color.png", color)
    with Image.open(output.path("color.png")) as picture:
        assert np.array_equal(np.asarray(picture), color)
    output.path("taken.png").mkdir()
    with pytest.raises(WorkError, match=r"taken\.png: the picture cannot be written"):
        write_picture(output, "taken.png", color)
