"""The same moment from the stream and from the emulator, where a demo leaderboard plays its runs again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emurl.footage import pairing
from emurl.footage.dataset import FrameReader
from emurl.games import mossdale as cartridge
from emurl.games.mossdale.broadcast import show
from emurl.games.mossdale.broadcast.playthrough import Playthrough, screens
from emurl.games.settings import BroadcastSettings
from emurl.models.tokenizer import Tokenizer
from tests.fixtures.learning import write_frames


def test_agreement_counts_equal_tokens():
    class Brightest(Tokenizer):
        def encode(self, frames):
            return torch.as_tensor(frames).unflatten(1, (9, 16)).unflatten(3, (10, 16)).amax(dim=(2, 4)).long()

    one = np.zeros((3, 144, 160), np.uint8)
    other = one.copy()
    other[0, :16, :32] = 1  # two of the 270 cells
    model = Brightest(dim=16, depth=1, vocab=16, code_dim=8)
    assert pairing.token_agreement(model, (one, other)) == pytest.approx(1 - 2 / 270)
    assert pairing.token_agreement(model, (one, one)) == 1.0


@pytest.fixture
def played(monkeypatch):
    """A run of twelve seconds on the title and in the introduction, and how the broadcast shows it."""
    presses = tuple(
        sorted((tick + down, "a" if tick % 3 else "start", not down) for tick in range(200, 500, 40) for down in (0, 8))
    )
    play = Playthrough(presses, 700, (("Goal", 700),))
    monkeypatch.setattr(show, "_bot", lambda rom, seed, of: play)
    return play


def test_the_same_moments_are_found(played, tmp_path):
    settings = BroadcastSettings(port=0, runs=2, cache=str(tmp_path / "cache"), seed=3)
    broadcast = show.Broadcast(settings)
    entry = broadcast.entries[1]
    on = broadcast.truth(entry.id)["power_on_frame"]
    film = list(screens(cartridge.rom_path(), played, 15, entry.look.after_s))
    # The video at 7.5 a second: frame n is the video's frame 2n; before power-on it is blank.
    assert entry.look.format.fps == 15
    blank = np.full((144, 160), 3, np.uint8)
    shown = np.stack([film[2 * n - on] if 2 * n >= on else blank for n in range((on + len(film)) // 2)])
    frames = write_frames(tmp_path / "frames", [shown, shown], fps=7.5)
    reader = FrameReader(frames.folder)
    place = reader.split("val")[0]
    reader.videos[place] = replace(reader.videos[place], run_id=entry.id)
    streamed, emulated = pairing.same_moments(reader, settings, count=30)
    assert len(streamed) == len(emulated) >= 20
    assert np.array_equal(streamed, emulated)
    assert len(np.unique(streamed.reshape(len(streamed), -1), axis=0)) > 3
    reader.videos[place] = replace(reader.videos[place], run_id="another site's")
    assert pairing.same_moments(reader, settings) is None
