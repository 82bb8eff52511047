"""`emurl bench policy`: PPO of the settings and its peer play the same consoles, as much, and learn from it as often."""

from typing import Any

import pytest

from emurl.bench import policy, recurrent_ppo
from emurl.core.config import load_config

SMALL = [
    "tokenizer.vocab=32", "tokenizer.dim=16", "tokenizer.decoder_depth=1", "tokenizer.code_dim=8", "behavior.dim=16", "behavior.heads=2",
    "behavior.recurrent.width=16", "behavior.recurrent.hidden=16", "policy.num_envs=2", "policy.num_steps=6", "policy.minibatch_size=12",
    "policy.update_epochs=2",
]  # fmt: skip


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Every contender is called once; how many steps a call is worth, by name."""
    worth: dict[str, int] = {}

    def alternate(contenders: dict[str, Any], each: int, repeats: int, seconds: float) -> dict[str, float]:
        for name, call in contenders.items():
            call()
            worth[name] = each
        return {name: 10.0 * (place + 1) for place, name in enumerate(contenders)}

    monkeypatch.setattr(policy, "alternate", alternate)
    monkeypatch.setattr(policy, "ENVS", 2)
    monkeypatch.setattr(policy, "ROLLOUT", 4)
    return worth


def test_ppo_stands_beside_its_peer(quick: dict[str, int]) -> None:
    figures = policy.run(load_config("configs/demo.yaml", SMALL))
    assert quick["ppo"] == quick["stepping"] == quick["sb3"] == 12
    assert figures["ppo_ratio_to_env"] == 0.5 and figures["ppo_ratio_to_sb3"] == 0.33 and figures["update_epochs"] == 2
    assert figures["ratio_to_env"] == 0.5 and figures["update_samples_per_second"] > 0


def test_the_peer_learns_as_often_as_we_do(monkeypatch: pytest.MonkeyPatch) -> None:
    sb3_contrib = pytest.importorskip("sb3_contrib")
    made: list[Any] = []
    init = sb3_contrib.RecurrentPPO.__init__
    monkeypatch.setattr(sb3_contrib.RecurrentPPO, "__init__", lambda self, *a, **k: made.append(self) or init(self, *a, **k))
    config = load_config("configs/demo.yaml", SMALL)
    update, end = recurrent_ppo.peer(config.policy, config.policy.emulator, policy.ScreenSpec(), 2)
    update()
    update()
    end()
    (model,) = made
    assert (model.n_steps, model.batch_size, model.n_epochs, model.n_envs) == (6, 12, 2, 2)
    assert model.num_timesteps == 24 and model._n_updates == 4  # two rollouts of 6 steps on 2 consoles, two passes each


def test_without_its_peer_it_says_nothing_of_it(quick: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrent_ppo, "installed", lambda: False)
    figures = policy.run(load_config("configs/demo.yaml", SMALL))
    assert "sb3" not in quick and figures["sb3_steps_per_second"] is None and figures["ppo_ratio_to_sb3"] is None
