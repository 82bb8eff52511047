"""What the networks compute, against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emurl.models.codebook import Codebook, spread_samples
from emurl.models.dynamics import Dynamics
from emurl.models.inverse import MOVES, InverseModel, explained
from emurl.models.layers import from_tiles, shade_planes, to_tiles
from emurl.models.policy import Policy
from emurl.models.reward import RewardModel, bradley_terry
from emurl.models.tokenizer import Tokenizer

SMALL = {"dim": 16, "depth": 1, "vocab": 16, "code_dim": 8}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 4, (count, 144, 160), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_bradley_terry_and_its_gradient():
    lead = torch.tensor([0.0, math.log(3.0)], requires_grad=True)
    loss = bradley_terry(lead)
    assert loss.item() == pytest.approx((math.log(2.0) + math.log(4 / 3)) / 2)
    loss.backward()
    # -sigma(-d)/B: sigma(0) = 1/2, sigma(-ln 3) = 1/4
    assert lead.grad.tolist() == pytest.approx([-0.25, -0.125])


def test_reward_is_calibrated_to_seconds():
    model = RewardModel("small")
    model.calibrate(torch.tensor([3.0, 5.0, 9.0, 11.0]), torch.tensor([0.0, 1.0, 3.0, 4.0]))  # s = 2 t + 3
    with torch.no_grad():
        some = frames(3)
        assert torch.allclose(model.eval()(some), (model.raw(some) - 3.0) / 2.0, atol=1e-6)


def test_reward_without_a_trend_keeps_its_scale():
    model = RewardModel("small")
    model.calibrate(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([0.0, 1.0, 2.0]))
    assert model.scale.item() == 1.0


def test_codebook_takes_the_nearest_code():
    for kind in ("cosine", "plain"):
        book = Codebook(4, 2, kind).eval()
        codes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        book.quantiser._codebook.embed.data.copy_(codes[None])
        if kind == "cosine":
            book.quantiser._codebook.initted.fill_(True)
        asked = torch.tensor([[[0.9, 0.3], [-0.2, 0.8], [-0.7, -0.1], [0.1, -2.0]]])
        assert book.nearest(asked).tolist() == [[0, 1, 2, 3]]
        quantized, indices, _ = book(asked)
        assert indices.tolist() == [[0, 1, 2, 3]]
        assert torch.allclose(quantized[0], codes)
        assert torch.equal(book.vectors(indices)[0], codes)


def test_finite_scalars_round_trip():
    book = Codebook(64, 8, "fsq").eval()
    quantized, indices, commitment = book(torch.randn(2, 90, 8))
    assert int(indices.max()) < 64 and commitment.item() == 0.0
    assert torch.allclose(book.vectors(indices), quantized, atol=1e-5)
    with pytest.raises(ValueError, match="fsq offers a vocab"):
        Codebook(100, 8, "fsq")


def test_new_codes_are_drawn_far_from_old_ones():
    common, rare = torch.tensor([[1.0, 0.0]]).repeat(999, 1), torch.tensor([[0.0, 1.0]])
    drawn = spread_samples(torch.cat([common, rare]), 1, codes=torch.tensor([[1.0, 0.0]]))
    assert drawn.tolist() == [[0.0, 1.0]]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([1, 3]), st.integers(0, 2**16))
def test_tiles_and_back(channels, seed):
    some = torch.randint(0, 256, (2, 144, 160, channels), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    tiles = to_tiles(some)
    assert torch.equal(from_tiles(tiles, channels), some)
    assert tiles[1, 3, 4, 8 * channels * 2 + 5 * channels] == some[1, 3 * 8 + 2, 4 * 8 + 5, 0]


def test_shades_as_planes():
    seen = shade_planes(torch.tensor([[0, 2, 3]], dtype=torch.uint8), 4)
    assert seen.tolist() == [[0, 0, 0, 0, 1, 0, 0, 0, 1]]  # is it 1? is it 2? is it 3?
    assert shade_planes(torch.tensor([0, 255], dtype=torch.uint8), 256).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("channels", [1, 3])
def test_what_a_move_explains_is_counted_pixel_by_pixel(channels: int):
    dice = np.random.default_rng(0)
    before, after = dice.integers(0, 2, (2, 3, 144, 160, channels), dtype=np.uint8)
    before[0] = after[0]  # every pixel of a tile
    said = explained(torch.from_numpy(before), torch.from_numpy(after)).numpy()
    for number, (down, right) in enumerate(MOVES):
        around = np.pad(before, ((0, 0), (16, 16), (16, 16), (0, 0)), constant_values=255)
        moved = around[:, 16 - down : 160 - down, 16 - right : 176 - right]
        tiles = (moved == after).reshape(3, 18, 8, 20, 8, channels).mean(axis=(2, 4, 5))
        np.testing.assert_allclose(said[..., number], tiles, atol=1e-7)


def test_a_scroll_is_explained_by_its_own_move():
    world = frames(1)[0]
    for move in ((0, 16), (-12, 0), (4, 0)):
        down, right = move
        before, after = world[20:124, 20:140], world[20 - down : 124 - down, 20 - right : 140 - right]
        pair = [torch.nn.functional.pad(part, (20, 20, 20, 20))[None, ..., None] for part in (before, after)]
        share = explained(*pair)[0, 6:12, 6:14].mean(dim=(0, 1))  # the middle, which no edge touches
        assert MOVES[int(share.argmax())] == move
        assert share.max().item() == 1.0


def test_tokenizer_shapes_and_determinism():
    model = Tokenizer(**SMALL).eval()
    some = frames(3)
    tokens = model.encode(some)
    assert tokens.shape == (3, 9, 10) and tokens.dtype == torch.long and int(tokens.max()) < 16
    said = model.decode(tokens)
    assert said.shape == (3, 144, 160) and said.dtype == torch.uint8 and int(said.max()) <= 3
    assert torch.equal(model.encode(some.numpy()), tokens)
    error = model.reconstruction_error(some)
    assert error.shape == (3,) and bool((error > 0).all())


def test_reconstruction_error_is_cross_entropy():
    model = Tokenizer(**SMALL).eval()
    torch.nn.init.zeros_(model.decoder.out.weight)
    torch.nn.init.zeros_(model.decoder.out.bias)
    assert model.reconstruction_error(frames(2)).tolist() == pytest.approx([math.log(4)] * 2, rel=1e-5)


def test_tokenizer_of_gray_and_of_color():
    gray = Tokenizer(shades=256, **SMALL)
    some = torch.randint(0, 256, (2, 144, 160)).to(torch.uint8)
    loss, _ = gray.loss(some)
    loss.backward()
    assert gray.eval().decode(gray.encode(some)).shape == (2, 144, 160)
    color = Tokenizer(shades=256, channels=3, **SMALL).eval()
    with pytest.raises(ValueError, match=r"expected \(B, 144, 160, 3\)"):
        color.encode(some)


def test_dynamics_surprise_of_one_who_knows_nothing():
    model = Dynamics(vocab=16, dim=16, layers=1, heads=2, context=2).eval()
    torch.nn.init.zeros_(model.out.weight)
    torch.nn.init.zeros_(model.out.bias)
    grids = torch.randint(0, 16, (3, 9, 10))
    assert model.nll(grids, grids).tolist() == pytest.approx([math.log(16)] * 3, rel=1e-5)
    assert model.nll(torch.stack([grids, grids], dim=1), grids).shape == (3,)


def test_dynamics_context_and_actions():
    model = Dynamics(vocab=16, dim=16, layers=2, heads=2, context=2, actions=8)
    grids = torch.randint(0, 16, (2, 3, 9, 10))
    loss, metrics = model.loss((grids, torch.tensor([1, 2])))
    assert loss.item() > 0 and 0 <= metrics["accuracy"] <= 1
    told, untold = model(grids[:, :2], torch.tensor([1, 2])), model(grids[:, :2])
    assert not torch.equal(told, untold)
    assert torch.equal(untold, model(grids[:, :2], torch.tensor([-1, -1])))
    with pytest.raises(ValueError, match="without actions"):
        Dynamics(vocab=16, dim=16, layers=1, heads=2, context=2)(grids[:, :2], torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="expected"):
        model(grids, torch.tensor([1, 2]))  # three frames, two is the most


def test_dreams_are_of_their_dice():
    model = Dynamics(vocab=16, dim=16, layers=1, heads=2, context=2).eval()
    start = torch.randint(0, 16, (2, 1, 9, 10))
    one, other = (model.dream(start, 3, torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.shape == (2, 3, 9, 10) and torch.equal(one, other)
    assert torch.equal(model.dream(start, 2, temperature=0), model.dream(start, 2, temperature=0))


def test_policy_begins_near_chance_and_takes_less_context():
    model = Policy(vocab=16, dim=16, layers=2, heads=2, context=3).eval()
    with torch.no_grad():
        logits, value = model(torch.randint(0, 16, (4, 2, 9, 10)))
    assert logits.shape == (4, 8) and value.shape == (4,)
    odds = logits.softmax(dim=-1)
    assert float((odds - 1 / 8).abs().max()) < 0.02


def test_cloning_counts_weights():
    model = Policy(vocab=16, dim=16, layers=1, heads=2, context=1)
    grids, actions = torch.randint(0, 16, (2, 1, 9, 10)), torch.tensor([0, 5])
    first, _ = model.loss((grids[:1], actions[:1], torch.ones(1)))
    weighted, _ = model.loss((grids, actions, torch.tensor([1.0, 0.0])))
    assert weighted.item() == pytest.approx(first.item(), rel=1e-5)


def test_inverse_model_reads_pairs():
    model = InverseModel(dim=8).eval()
    pair = torch.stack([frames(3, 1), frames(3, 2)], dim=1)
    assert model(pair).shape == (3, 8)
    loss, _ = model.loss((pair.numpy(), np.array([0, 1, 2]), np.array([1.0, 1.0, 0.0])))
    assert math.isfinite(loss.item())
    assert model(pair[:, :1].expand(-1, 2, -1, -1)).isfinite().all()  # nothing changed anywhere


def test_a_cursor_looks_the_same_wherever_its_menu_stands():
    model = InverseModel(dim=8).eval()
    with torch.no_grad():
        model.head.weight[:, : 2 * 8 * 25] = 0.0  # the change alone
    scene = frames(1, 1)[0]
    before, after = scene.clone(), scene.clone()
    before[40:48, 40:48], after[40:48, 40:48] = 3, 0
    before[56:64, 40:48], after[56:64, 40:48] = 0, 3
    pair = torch.stack([before, after])
    moved = torch.roll(pair, (32, 24), (1, 2))
    elsewhere = torch.stack([frames(1, 2)[0]] * 2)  # another picture, the same cursor in it
    for top in (80, 96):
        elsewhere[:, top : top + 8, 72:80] = pair[:, top - 40 : top - 32, 40:48]
    here, there, other, back = model(torch.stack([pair, moved, elsewhere, pair.flip(0)]))
    assert torch.allclose(here, there, atol=1e-5) and torch.allclose(here, other, atol=1e-5)
    assert not torch.allclose(here, back, atol=1e-3)  # up is not down
