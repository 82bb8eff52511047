"""The footage as tokens: every frame of every video, of the right frames, and no object is ever unpickled."""

import json

import numpy as np
import pytest

from emurl.core.errors import InputError
from emurl.core.output import Output
from emurl.core.tracking import Tracker
from emurl.footage.dataset import FrameReader
from emurl.footage.tokens import GRIDS, INDEX, Tokens, write_tokens
from emurl.models.tokenizer import Tokenizer
from emurl.training.supervised import seeded
from tests.fixtures.learning import artifact, walks, write_frames

MODEL = seeded(0, lambda: Tokenizer(dim=16, depth=1, vocab=40, code_dim=8, codebook="plain")).eval()


@pytest.fixture
def written(tmp_path):
    """(reader, frames artifact, tokenizer artifact with tokens)."""
    frames = write_frames(tmp_path / "frames", [video[: 20 + 9 * number] for number, video in enumerate(walks(3, steps=30))])
    reader = FrameReader(frames.folder)
    write_tokens(Output(tmp_path / "tokenizer", tmp_path / "scratch"), reader, frames, MODEL, Tracker.silent())
    return reader, frames, artifact("tokenizer", tmp_path / "tokenizer")


def test_what_is_written_is_read(written):
    reader, frames, made = written
    tokens = Tokens(reader, frames, made)
    wanted = [MODEL.encode(reader.read(video, np.arange(reader.videos[video].count))).numpy() for video in range(3)]
    assert tokens.vocab == 40 and all(np.array_equal(tokens.grids(video), wanted[video]) for video in range(3))
    assert np.array_equal(tokens.all, np.concatenate(wanted)) and tokens.all.dtype == np.uint16
    found = tokens.read(np.array([2, 0]), np.array([[3, 5], [1, 0]]))
    assert found.dtype == np.int64 and np.array_equal(found, [wanted[2][[3, 5]], wanted[0][[1, 0]]])
    assert np.array_equal(tokens.read(np.array([1]), np.array([7])), wanted[1][[7]])
    assert made.path(GRIDS).stat().st_size < 181 * len(tokens.all) + 200


def test_tokens_of_other_frames_are_refused(written):
    reader, frames, made = written
    other = artifact("frames", frames.folder)
    other.manifest["digest"] = "another"
    with pytest.raises(InputError, match=r"tokenizer@v1: holds the tokens of other frames than frames@v1; run the tokenizer"):
        Tokens(reader, other, made)


def test_missing_or_damaged_tokens_are_said_in_one_line(written):
    reader, frames, made = written
    np.save(made.path(GRIDS), np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="its tokens cannot be read"):
        Tokens(reader, frames, made)
    made.path(INDEX).write_text(json.dumps({"vocab": 40}))
    with pytest.raises(InputError, match="its tokens cannot be read"):
        Tokens(reader, frames, made)
    made.path(INDEX).unlink()
    with pytest.raises(InputError, match=r"tokenizer@v1: holds no tokens of the footage; run the tokenizer stage again"):
        Tokens(reader, frames, made)
