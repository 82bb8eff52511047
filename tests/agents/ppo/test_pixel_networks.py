"""The pixel network: equal stacks evaluated once, sequences as steps, episodes cut where they begin, and what does not fit it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from emurl.agents.base import restart
from emurl.agents.ppo.networks import unroll
from emurl.agents.ppo.pixel_networks import PixelPolicy
from emurl.core.errors import InputError
from emurl.models.base import parameter_count
from emurl.training.supervised import seeded


def policy(hidden: int = 0) -> PixelPolicy:
    return seeded(0, lambda: PixelPolicy(8, 36, 40, 3, hidden=hidden)).eval()


def frames(steps: int, seed: int = 0) -> np.ndarray:
    """(steps, 2, 144, 160) of four shades, of which the second console's stand still from the fifth on."""
    shown = np.random.default_rng(seed).integers(0, 4, (steps, 2, 144, 160), dtype=np.uint8)
    shown[5:, 1] = shown[min(5, steps - 1), 1]
    return shown


def test_it_is_nature_dqns():
    assert parameter_count(PixelPolicy(8)) == 1_688_745  # 1.7 M: 4·32·8², 32·64·4², 64·64·3², 3136·512, 512·(8 + 1), and biases


def test_equal_stacks_are_evaluated_once_and_learned_from_as_if_they_were_not():
    network = policy()
    stacks = np.random.default_rng(0).integers(0, 256, (6, 3, 36, 40), dtype=np.uint8)[[0, 1, 0, 2, 1, 0]]
    seen = []
    network.body.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    gradients = []
    for evaluate in (network.evaluate, network.body.evaluate):
        network.zero_grad()
        logits, values = evaluate(stacks)
        (logits.square().sum() + values.sum()).backward()
        gradients.append((logits, values, torch.cat([one.grad.flatten() for one in network.parameters()])))
    assert seen == [3, 6]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden", [0, 16])
def test_a_sequence_is_its_steps(hidden):
    network, shown = policy(hidden), frames(8)
    starts = np.zeros((8, 2), bool)
    starts[0], starts[3, 0], starts[6, 1] = True, True, True
    carry = before = network.initial(2)
    logits, values = [], []
    with torch.no_grad():
        for t in range(8):
            carry = restart(carry, network.initial(2), starts[t])
            one, value, carry = network.step(carry, shown[t])
            logits.append(one)
            values.append(value)
        whole, worth = network.sequence(before, shown, starts, {})
    assert torch.allclose(torch.stack(logits), whole, atol=1e-5) and torch.allclose(torch.stack(values), worth, atol=1e-5)


def test_an_episode_may_begin_with_a_memory():
    network, shown = policy(16), frames(4)
    _, _, remembered = network.step(network.initial(2), frames(1, seed=7)[0])
    starts = np.zeros((4, 2), bool)
    starts[0], starts[2, 1] = True, True
    begun = {(2, 1): {name: array[1] for name, array in remembered.items()}}
    with torch.no_grad():
        whole, _ = network.sequence(network.initial(2), shown, starts, begun)
        alone, _, after = network.step(remembered, shown[2])
        later, _, _ = network.step(after, shown[3])
    assert torch.allclose(whole[2, 1], alone[1], atol=1e-5) and torch.allclose(whole[3, 1], later[1], atol=1e-5)


def test_the_first_frame_of_an_episode_fills_its_stack():
    network, shown = policy(), frames(4)
    starts = np.zeros((4, 2), bool)
    starts[0], starts[2, 0] = True, True
    stacks = unroll(network, network.initial(2), shown, starts)
    small = np.stack([network.scaled(one) for one in shown])
    assert stacks.shape == (4, 2, 3, 36, 40) and stacks.dtype == np.uint8
    assert (stacks[2, 0] == small[2, 0]).all()
    assert np.array_equal(stacks[2, 1], small[:3, 1]) and np.array_equal(stacks[3, 0], small[[2, 2, 3], 0])


def test_saved_and_loaded_it_says_the_same(tmp_path):
    network = policy(16)
    network.save_pretrained(tmp_path)
    again = PixelPolicy.from_pretrained(tmp_path)
    shown = frames(1)[0]
    with torch.no_grad():
        assert torch.equal(network.step(network.initial(2), shown)[0], again.step(again.initial(2), shown)[0])


def test_a_frame_that_is_too_small_is_refused():
    with pytest.raises(InputError, match="35×84: expected at least 36×36"):
        PixelPolicy(8, 35, 84)


@pytest.mark.parametrize(
    ("name", "value"), [("height", 100_000_000), ("stack", 0), ("shades", 1), ("shades", "x"), ("hidden", 10**11), ("actions", 0)]
)
def test_a_config_that_cannot_be_is_refused_before_anything_is_built(tmp_path, name, value):
    policy().save_pretrained(tmp_path)
    told = json.loads((tmp_path / "config.json").read_text())
    told["config"][name] = value
    (tmp_path / "config.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=name):
        PixelPolicy.from_pretrained(tmp_path)
