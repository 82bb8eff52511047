"""A tokenizer of cells: what it knows of the footage before the first step, and that scrolling moves its tokens unchanged."""

import numpy as np
import pytest
import torch

from emurl.core.errors import InputError
from emurl.models.cells import NamedCells, distinct_cells
from emurl.models.codebook import Codebook
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun import tokenizer as stage
from emurl.pipelines.speedrun.tokenizer import TokenizerSettings
from emurl.training.supervised import seeded

SMALL = {"dim": 16, "depth": 1, "code_dim": 24, "encoder": "cells"}


def world(kinds: int, height: int = 10, width: int = 11, shades: int = 4, colors: tuple[int, ...] = ()) -> np.ndarray:
    """A picture of `height` × `width` cells, each one of `kinds` random ones: uint8 (16·height, 16·width[, 3])."""
    dice = np.random.default_rng(0)
    cells = dice.integers(0, shades, (kinds, 16, 16, *colors), dtype=np.uint8)
    chosen = dice.permutation(np.arange(height * width) % kinds).reshape(height, width)
    return np.concatenate([np.concatenate(list(cells[row]), axis=1) for row in chosen])


def started(frames: np.ndarray, **config) -> Tokenizer:
    model = seeded(0, lambda: Tokenizer(**(SMALL | config)))
    torch.manual_seed(0)
    model.start(frames)
    return model.eval()


def test_as_many_codes_as_cells_say_everything():
    frames = world(30)[None, :144, :160]
    model = started(frames, vocab=32)
    assert torch.equal(model.decode(model.encode(frames)), torch.from_numpy(frames))
    assert len(model.encode(frames).unique()) == len(
        np.unique(frames.reshape(9, 16, 10, 16).swapaxes(1, 2).reshape(90, -1), axis=0)
    )


@pytest.mark.parametrize(("colors", "channels"), [((), 1), ((3,), 3)])
def test_cells_that_are_remembered_are_named_as_a_whole_frame_is(colors: tuple[int, ...], channels: int):
    asked = []

    def name(cells: np.ndarray) -> np.ndarray:
        asked.append(len(cells))
        return model.encode_cells(cells).numpy()

    whole = world(30, colors=colors)
    frames = np.stack([whole[:144, :160], whole[16:, 16:]])  # the second is the first, scrolled by a cell
    model = started(frames, vocab=64, channels=channels)
    named = NamedCells(name)
    np.testing.assert_array_equal(named.encode(frames), model.encode(frames).numpy())
    assert asked == [30]  # each of the different cells once
    np.testing.assert_array_equal(named.encode(frames[:1]), model.encode(frames[:1]).numpy())
    assert asked == [30]
    named.forget()
    named.encode(frames)
    assert asked == [30, 30]


def test_too_few_codes_give_the_commonest_cells_first():
    common, rare = np.zeros((1, 144, 160), np.uint8), world(40)[None, :144, :160]
    model = started(np.concatenate([common] * 50 + [rare]), vocab=16)
    assert bool((model.decode(model.encode(common)) == 0).all())
    said = model.decode(model.encode(rare)).numpy()
    assert 0.3 < (said == rare).mean() < 1.0  # of the shades by chance: 0.25


def test_a_scroll_by_whole_cells_moves_the_tokens():
    big = world(60)
    before, after = big[None, :144, :160], big[None, 16:160, 16:176]
    model = started(np.concatenate([before, after]), vocab=24)
    assert torch.equal(model.encode(before)[0, 1:, 1:], model.encode(after)[0, :-1, :-1])  # to the very edge


def test_only_the_decoder_learns_and_it_learns():
    frames = world(50)[None, :144, :160]
    model = started(frames, vocab=24).train()
    was = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(30):
        model.on_progress(step / 30)
        loss, metrics = model.loss(frames)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0] and metrics["commitment"] == 0
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, was[name])}
    assert moved and all(name.startswith("decoder.") for name in moved)


def test_gray_and_color_start_from_the_mean():
    for channels, colors in ((1, ()), (3, (3,))):
        frames = world(30, shades=256, colors=colors)[None, :144, :160]
        model = started(frames, vocab=32, shades=256, channels=channels)
        assert np.abs(model.decode(model.encode(frames)).numpy().astype(int) - frames).max() <= 1


def test_the_start_is_of_the_seed_and_the_saved_says_the_same(tmp_path):
    frames = world(50)[None, :144, :160]
    one, two = started(frames, vocab=24), started(frames, vocab=24)
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())
    again = Tokenizer.from_pretrained(one.save_pretrained(tmp_path))
    assert torch.equal(again.encode(frames), one.encode(frames))


def test_clusters_by_hand():
    book = Codebook(2, 2, "cosine")
    angles = torch.tensor([0.0, 0.2, 1.5, 1.6])
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [3.0], [1.0], [0.5]])
    torch.manual_seed(0)
    found = book.cluster(vectors, torch.tensor([1.0, 1.0, 3.0, 1.0]))
    assert found[0] == found[1] != found[2] == found[3]
    codes = book.vectors(torch.stack([found[0], found[2]]))
    assert codes.norm(dim=1).tolist() == pytest.approx([1.0, 1.0])
    assert float(torch.atan2(codes[0, 1], codes[0, 0])) == pytest.approx(0.1, abs=1e-4)  # half-way
    assert float(torch.atan2(codes[1, 1], codes[1, 0])) == pytest.approx(1.525, abs=1e-3)  # three parts of four at 1.5
    with pytest.raises(ValueError, match="only cosine"):
        Codebook(2, 2, "plain").cluster(vectors, torch.ones(4))


def test_many_different_cells_are_drawn_from():
    frames = np.random.default_rng(1).integers(0, 4, (2, 144, 160), dtype=np.uint8)
    model = Tokenizer(**SMALL, vocab=8)
    found, weights = distinct_cells(model._tiles(frames), 1000)
    assert found.shape == (180, 256) and weights.tolist() == [1.0] * 180
    assert distinct_cells(model._tiles(frames), 50)[0].shape == (50, 256)
    with pytest.raises(RuntimeError, match="before `start`"):
        model.on_progress(0.0)


def test_what_does_not_go_together():
    with pytest.raises(ValueError, match="expected cosine"):
        Tokenizer(**SMALL, codebook="plain")
    with pytest.raises(ValueError, match="code_dim is 300, expected 2 … 256"):
        Tokenizer(**(SMALL | {"code_dim": 300}))
    for settings, said in (({"codebook": "fsq"}, "expected cosine"), ({"code_dim": 257}, "expected 2 … 256")):
        with pytest.raises(InputError, match=said):
            stage.check(TokenizerSettings(encoder="cells", **settings))
