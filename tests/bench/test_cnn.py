"""`emurl bench cnn`: every contender plays the same consoles, as much, and learns from it as often."""

import gc
import sys
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from emurl.bench import cnn, cnn_peers
from emurl.bench.apart import Apart, resident
from emurl.cli import main
from emurl.core.config import load_config
from emurl.core.errors import InputError
from emurl.pipelines.baseline.cnn import CnnSettings

SMALL = [
    "env.obs_height=40", "env.obs_width=40", "env.frame_skip=9", "training.num_envs=2", "training.batch_size=8",
    "training.minibatch_size=4", "training.update_epochs=2", "training.target_kl=0.01",
]  # fmt: skip


def settings_of(*more: str) -> Any:
    return load_config("configs/baseline_demo.yaml", [*SMALL, *more])


class Here:
    """In place of `Apart`: the contender in this process, by threads and forks alone."""

    imported, peak = 100.0, 150.0

    def __init__(self, make: Any, settings: CnnSettings, imports: tuple[str, ...] = ()) -> None:
        assert settings.training.target_kl is None  # or some would learn less than others
        self.calls = make(settings)

    def __call__(self, name: str) -> object:
        return self.calls[name]()

    def watched(self) -> Any:
        return nullcontext()

    def close(self) -> None:
        self.calls["close"]()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Every contender is called once; how many steps a call is worth, by name."""
    worth: dict[str, int] = {}

    def alternate(contenders: dict[str, Any], each: int, repeats: int, seconds: float) -> dict[str, float]:
        for name, call in contenders.items():
            call()
            worth[name] = each
        return {"ours": 60.0, "sb3": 20.0, "single_file": 40.0, "single_file_async": 30.0, "env": 120.0}

    monkeypatch.setattr(cnn, "alternate", alternate)
    monkeypatch.setattr(cnn, "Apart", Here)
    monkeypatch.setattr(cnn, "WARM", 0)
    monkeypatch.setattr(cnn_peers, "installed", lambda: False)
    return worth


def test_ours_stands_beside_its_peers(quick: dict[str, int]) -> None:
    figures = cnn.run(settings_of())
    assert quick == {"single_file": 8, "single_file_async": 8, "ours": 8, "env": 8}
    assert figures["steps_per_second"] == 60.0 and figures["env_steps_per_second"] == 120.0 and figures["ratio_to_env"] == 0.5
    assert figures["ratio_to_single_file"] == 1.5 and figures["ratio_to_single_file_async"] == 2.0
    assert figures["memory_mib"] == 150.0 and figures["memory_growth_mib"] == 50.0
    assert (figures["num_envs"], figures["num_steps"], figures["minibatch_size"], figures["update_epochs"]) == (2, 4, 4, 2)
    for missing in ("sb3_memory_mib", "memory_ratio", "memory_growth_ratio"):  # Stable-Baselines3 is not there
        assert figures[missing] is None


def test_stable_baselines_learns_as_often_as_we_do(monkeypatch: pytest.MonkeyPatch) -> None:
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    made: list[Any] = []
    init = stable_baselines3.PPO.__init__
    monkeypatch.setattr(stable_baselines3.PPO, "__init__", lambda self, *a, **k: made.append(self) or init(self, *a, **k))
    monkeypatch.setattr(vec_env, "SubprocVecEnv", vec_env.DummyVecEnv)  # processes take seconds to start
    calls = cnn_peers.sb3(settings_of().cnn)
    calls["train"]()
    calls["train"]()
    calls["close"]()
    (model,) = made
    assert (model.n_steps, model.batch_size, model.n_epochs, model.n_envs, model.target_kl) == (4, 4, 2, 2, None)
    assert model.num_timesteps == 16 and model._n_updates == 4 and model.observation_space.shape == (4, 40, 40)


def test_the_single_file_learns() -> None:
    from emurl.bench.single_file_ppo import SingleFilePPO

    settings = settings_of().cnn
    peer = SingleFilePPO(lambda: cnn_peers.make(cnn_peers.arguments_of(settings)), 2, settings.training.ppo(0, "cpu", 1))
    before = [parameter.detach().clone() for parameter in peer.agent.parameters()]
    peer.update()
    peer.close()
    assert all(bool(parameter.isfinite().all()) for parameter in peer.agent.parameters())
    assert any(not np.array_equal(old, new.detach()) for old, new in zip(before, peer.agent.parameters(), strict=True))


def test_a_memory_is_refused() -> None:
    with pytest.raises(InputError, match="expected none: the peers of bench cnn have no memory"):
        cnn.run(settings_of("training.memory=recurrent", "training.minibatch_size=8"))


def test_settings_of_another_pipeline_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "cnn", "--config", "configs/tidewick.yaml"]) == 2
    assert "bench cnn: the settings are of pipeline speedrun, expected a --config of baseline" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_contender_apart_is_asked_by_name_and_its_memory_is_told() -> None:
    one = Apart(dict, {"train": gc.collect})
    with one.watched():
        assert one("train") == "train"
    assert one.imported is not None and one.peak is not None and 1 < one.imported <= one.peak < 4096
    one.close()
    assert resident(one._process.pid or 0) == 0.0
