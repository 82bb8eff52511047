"""`emurl bench ood` and `bench tokenizer` measure the very networks that the settings describe."""

import numpy as np
import pytest

from emurl.bench import ood, tokenizer
from emurl.bench.synthetic import synthetic_screens
from emurl.core.config import load_config
from emurl.pipelines.speedrun.dynamics import new_dynamics
from emurl.pipelines.speedrun.tokenizer import new_tokenizer
from emurl.screen import ScreenSpec

SMALL = [
    "tokenizer.encoder=cells", "tokenizer.vocab=32", "tokenizer.dim=16", "tokenizer.depth=2", "tokenizer.decoder_depth=1",
    "tokenizer.code_dim=12", "tokenizer.quantizer.commitment=0.5", "dynamics.dim=16", "dynamics.layers=1", "dynamics.heads=2",
    "dynamics.context=2", "dynamics.narrow=8",
]  # fmt: skip


@pytest.fixture
def config():
    return load_config("configs/demo.yaml", SMALL)


def wanted(config):
    sight = new_tokenizer(config.tokenizer, ScreenSpec(), lambda: np.stack(list(synthetic_screens(20))))
    return sight.config, new_dynamics(config.dynamics, config.tokenizer.vocab).config


def test_ood(config, monkeypatch):
    measured = []

    class Watched(ood.OODDetector):
        def __init__(self, tokenizer, dynamics, usual):
            measured.extend([tokenizer.config, dynamics.config])
            super().__init__(tokenizer, dynamics, usual)

    monkeypatch.setattr(ood, "OODDetector", Watched)
    monkeypatch.setattr(ood, "alternate", lambda contenders, each, repeats, seconds: dict.fromkeys(contenders, 10.0))
    figures = ood.run(config)
    assert tuple(measured) == wanted(config)
    assert figures["ratio_to_encode"] == 1.0


def test_tokenizer(config, monkeypatch):
    measured = {}

    def alternate(contenders, each, repeats, seconds):
        measured.update({name: call.args[0] for name, call in contenders.items()})
        return dict.fromkeys(contenders, 10.0)

    monkeypatch.setattr(tokenizer, "alternate", alternate)
    monkeypatch.setattr(tokenizer, "SECONDS", 0.01)
    monkeypatch.setattr(tokenizer, "SCREENS", 200)
    monkeypatch.setattr(tokenizer, "BATCH", 4)
    figures = tokenizer.run(config)
    assert measured["settings"].model.config == wanted(config)[0]
    assert measured["settings"].settings == config.tokenizer
    assert figures["settings_parameters"] < figures["parameters"]
    assert all(0 <= figures[f"{name}recon_mse"] < 1 for name in ("", "original_", "settings_"))
