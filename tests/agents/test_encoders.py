"""One encoder a kind of observation; shapes in, features out, and what has none says so."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from emurl.agents.encoders import build_encoder
from emurl.agents.ppo.networks import space_from_json, space_to_json
from emurl.core.errors import InputError

SPACES: dict[str, gymnasium.Space] = {
    "vector": spaces.Box(-1, 1, (7,), np.float32),
    "picture": spaces.Box(0, 255, (84, 84), np.uint8),
    "color": spaces.Box(0, 255, (64, 48, 3), np.uint8),
    "stack": spaces.Box(0, 255, (4, 84, 84), np.uint8),
    "small picture": spaces.Box(0, 3, (9, 10), np.uint8),
    "number": spaces.Discrete(6),
    "switches": spaces.MultiBinary(5),
    "several": spaces.Dict({"where": spaces.Discrete(4), "what": spaces.Box(0, 255, (84, 84), np.uint8)}),
}


@pytest.mark.parametrize("name", SPACES)
def test_it_fits_its_space_and_is_built_alike_from_its_text(name: str) -> None:
    space = SPACES[name]
    space.seed(0)
    seen = [space.sample() for _ in range(3)]
    batch = (
        {key: torch.as_tensor(np.stack([one[key] for one in seen])) for key in space.spaces}
        if isinstance(space, spaces.Dict)
        else torch.as_tensor(np.stack(seen))
    )
    encoders = []
    for built in (space, space_from_json(space_to_json(space))):
        torch.manual_seed(0)
        encoders.append(build_encoder(built))
    first, second = (encoder(batch) for encoder in encoders)
    assert first.shape == (3, encoders[0].width)
    assert torch.equal(first, second)
    assert torch.isfinite(first).all()


def test_the_nature_network_has_its_size() -> None:
    encoder = build_encoder(spaces.Box(0, 255, (4, 84, 84), np.uint8))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 1_684_128


def test_whole_numbers_are_brought_to_one_and_other_numbers_are_left() -> None:
    assert build_encoder(spaces.Box(0, 3, (9, 10), np.uint8)).scale == 3.0
    assert build_encoder(spaces.Box(-5, 5, (2,), np.float32)).scale == 1.0
    assert build_encoder(spaces.Box(0, 2**62, (2,), np.int64)).scale == 1.0


def test_a_space_without_an_encoder_is_named() -> None:
    with pytest.raises(InputError, match=r"observation\.words: a space of kind Text"):
        build_encoder(spaces.Dict({"words": spaces.Text(5)}))
    with pytest.raises(InputError, match=r"observation\.cards: a space of kind Tuple"):
        space_to_json(spaces.Dict({"cards": spaces.Tuple([spaces.Discrete(2)])}))
