"""The parts that see and foresee grids: what they begin as, what they compute by hand, and who trains which weights."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from emurl.models.dynamics import Dynamics, around, shifts_of
from emurl.models.layers import CellBlock, CellMixer, Conv3, merge_tiles, split_cells, to_tiles
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.dynamics import shifted
from emurl.training.optimizers import bf16_is_quicker, make_optimizers
from emurl.training.settings import OptimizerSettings

SHIFTS = shifts_of(2)
SMALL = {"dim": 16, "depth": 1, "vocab": 16, "code_dim": 8}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_a_convolution_kept_as_a_matrix():
    layer = Conv3(3, 5)
    x = torch.randn(2, 9, 10, 3)
    kernel = layer.weight.reshape(5, 3, 3, 3).permute(0, 3, 1, 2)
    wanted = F.conv2d(x.permute(0, 3, 1, 2), kernel, padding=1).permute(0, 2, 3, 1)
    assert torch.allclose(layer(x), wanted, atol=1e-6)


def test_blocks_begin_as_nothing():
    x = torch.randn(2, 9, 10, 16)
    for block in (CellBlock(16), CellMixer(16)):
        assert torch.equal(block(x), x)


def test_a_mixer_reaches_everywhere_and_a_block_its_neighbors():
    for block, reached in ((CellMixer(4), 90), (CellBlock(4), 9)):
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter)
        x = torch.randn(1, 9, 10, 4)
        changed = x.clone()
        changed[0, 4, 4, 0] += 1  # one number: the norm forgets what all have in common
        assert int((block(x) != block(changed)).any(dim=-1).sum()) == reached


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 5))
def test_four_tiles_make_a_cell_and_back(seed, width):
    tiles = torch.randn(2, 18, 20, width, generator=torch.Generator().manual_seed(seed))
    cells = merge_tiles(tiles)
    assert cells.shape == (2, 9, 10, 4 * width)
    assert torch.equal(cells[:, 3, 4, 2 * width : 3 * width], tiles[:, 7, 8])  # lower left
    assert torch.equal(split_cells(cells), tiles)


def test_every_shade_has_its_two_bits():
    model = Tokenizer(**SMALL)
    tiles = torch.arange(4, dtype=torch.uint8).repeat(16)[None, None, None].expand(1, 18, 20, 64)
    bits = torch.tensor([[0, 0], [0, 1], [1, 1], [1, 0]])[tiles.long()]  # light?, middle?: neighbors differ in one
    sure = 20.0 * (2.0 * bits.float() - 1.0)
    outputs = torch.cat([sure[..., 0], sure[..., 1]], dim=-1)
    assert torch.equal(model._values(outputs), tiles)
    assert model._error(outputs, tiles).item() == pytest.approx(0.0, abs=1e-6)
    assert model._error(torch.zeros_like(outputs), tiles).item() == pytest.approx(math.log(4))
    # One shade off costs one bit, whichever it is.
    assert model._error(-outputs, tiles).item() == pytest.approx(40.0)


def test_a_scrolled_world_gives_scrolled_tokens():
    model = Tokenizer(**(SMALL | {"vocab": 64})).eval()
    world = torch.randint(0, 4, (1, 160, 176), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    model.train().loss(world[:, :144, :160].repeat(4, 1, 1))  # fills the codebook
    model.eval()
    before, after = (model.encode(world[:, y : y + 144, x : x + 160])[0] for y, x in ((0, 0), (16, 16)))
    assert torch.equal(before[3:7, 3:8], after[2:6, 2:7])  # away from the edge


def test_codes_come_in_after_the_features():
    model = Tokenizer(**SMALL).train()
    some = torch.randint(0, 4, (2, 144, 160)).to(torch.uint8)
    model.on_progress(0.0)
    _, metrics = model.loss(some)
    assert metrics["commitment"] == 0 and "batch_codes" not in metrics
    assert not bool(model.codebook.quantiser._codebook.initted)
    model.on_progress(0.5)
    _, metrics = model.loss(some)
    assert metrics["batch_codes"] > 0 and bool(model.codebook.quantiser._codebook.initted)
    assert Tokenizer(**(SMALL | {"vocab": 64, "codebook": "fsq"})).quantizes


def test_what_a_pointer_points_at():
    grids = torch.from_numpy(np.arange(180).reshape(2, 9, 10))
    found = around(grids, 2)
    for place, (down, right) in enumerate(SHIFTS):
        assert np.array_equal(found[..., place].numpy(), shifted(grids.numpy(), down, right))


def test_a_pointer_alone_foresees_a_scroll():
    model = Dynamics(vocab=200, dim=16, layers=1, heads=2, context=2).eval()
    for part in (model.out.weight, model.out.bias):
        torch.nn.init.zeros_(part)
    with torch.no_grad():
        model.point.bias[SHIFTS.index((0, -1))] = 9.0
    grid = torch.from_numpy(np.arange(90).reshape(1, 1, 9, 10))
    foreseen = model(grid).argmax(dim=-1)
    assert torch.equal(foreseen[0, :, :9], grid[0, 0, :, 1:])
    # A cell from beyond the edge is no token: nothing is known of it.
    assert model(grid)[0, 0, 9].tolist() == [0.0] * 200
    with torch.no_grad():
        model.point.bias.zero_()
        model.point.bias[len(SHIFTS)] = 9.0  # what stood here the grid before
    both = torch.cat([grid + 100, grid], dim=1)
    assert torch.equal(model(both).argmax(dim=-1), both[:, 0])


def test_it_is_told_which_way_the_world_moved():
    model = Dynamics(vocab=200, dim=50, layers=1, heads=2, context=2)
    with torch.no_grad():
        model.moved.weight.copy_(torch.eye(50))
        model.moved.bias.zero_()
    before = torch.from_numpy(np.arange(90).reshape(1, 9, 10))
    after = torch.from_numpy(shifted(before.numpy(), 1, 0))
    seen = model._motion(torch.stack([before, after], dim=1))[0]
    here = SHIFTS.index((1, 0))
    assert seen[4, 4, here] == 1 and seen[4, 4, :25].sum() == 1
    assert seen[4, 4, 25 + here].item() == pytest.approx(1.0) and seen[4, 4, 25 + SHIFTS.index((0, 0))] == 0


def test_less_context_than_it_could_have():
    model = Dynamics(vocab=16, dim=16, layers=1, heads=2, context=3).eval()
    grids = torch.randint(0, 16, (2, 3, 9, 10))
    assert model(grids).shape == model(grids[:, 1:]).shape == model(grids[:, 2:]).shape == (2, 9, 10, 16)
    assert not torch.equal(model(grids), model(grids[:, 2:]))


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_each_weight_has_one_optimizer(kind):
    for model in (Tokenizer(**SMALL), Dynamics(vocab=16, dim=16, layers=1, heads=2)):
        made = make_optimizers(model, OptimizerSettings(optimizer=kind))
        taken = [id(p) for one in made.values() for group in one.param_groups for p in group["params"]]
        assert sorted(taken) == sorted(id(p) for p in model.parameters())
        assert ("muon" in made) == (kind == "muon")
        if kind == "muon":
            names = {id(p): name for name, p in model.named_parameters()}
            hidden = {names[id(p)] for p in made["muon"].param_groups[0]["params"]}
            assert any("blocks" in name for name in hidden)
            assert not any(name.startswith(model.edges) or "token" in name or "bias" in name for name in hidden)


def test_half_precision_only_where_the_model_says_it_pays():
    from emurl.models.reward import RewardModel

    assert not bf16_is_quicker(RewardModel("small"), torch.device("cpu"))
    assert bf16_is_quicker(RewardModel("small"), torch.device("cuda"))
    assert to_tiles(torch.zeros(1, 144, 160, 1)).shape == (1, 18, 20, 64)
