"""Weights and configuration in one folder, and what is said when they are not there."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from emurl.core.config import load_config
from emurl.core.errors import InputError
from emurl.models.base import parameter_count
from emurl.models.dynamics import Dynamics
from emurl.models.inverse import InverseModel
from emurl.models.policy import Policy, agent_parameter_count
from emurl.models.reward import RewardModel
from emurl.models.tokenizer import Tokenizer
from emurl.pipelines.speedrun.behavior import new_policy
from emurl.pipelines.speedrun.dynamics import new_dynamics
from emurl.pipelines.speedrun.reward import new_reward_model
from emurl.pipelines.speedrun.tokenizer import new_tokenizer
from emurl.screen import ScreenSpec

TINY = [
    Tokenizer(dim=16, depth=1, vocab=16, code_dim=8),
    Tokenizer(dim=16, depth=1, vocab=64, code_dim=8, codebook="fsq"),
    Tokenizer(dim=16, depth=1, vocab=16, code_dim=8, encoder="cells"),
    Tokenizer(dim=16, depth=1, vocab=16, code_dim=8, codebook="plain", shades=256),
    Dynamics(vocab=16, dim=16, layers=1, heads=2, context=2),
    RewardModel("small"),
    InverseModel(dim=8),
    Policy(vocab=16, dim=16, layers=1, heads=2),
]


@pytest.mark.parametrize("model", TINY, ids=lambda model: type(model).__name__ + str(model.config.get("codebook", "")))
def test_round_trip(model, tmp_path):
    if isinstance(model, Tokenizer):
        model.train().loss(torch.randint(0, 4, (2, 144, 160)).to(torch.uint8))  # fills the codebook
    model.save_pretrained(tmp_path / "model")
    again = type(model).from_pretrained(tmp_path / "model")
    assert again.config == model.config and not again.training
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        Policy.from_pretrained(tmp_path)
    Policy(vocab=16, dim=16, layers=1, heads=2).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="holds a Policy, expected a Dynamics"):
        Dynamics.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="not a Policy of this version"):
        Policy.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        Policy.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"class": "Policy"}))
    with pytest.raises(InputError, match="cannot be read"):
        Policy.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        (0, {"dim": 0}), (0, {"dim": -1}), (0, {"dim": "16"}), (0, {"dim": None}), (0, {"dim": [1]}), (0, {"codebook": "x"}),
        (0, {"encoder": "x"}), (0, {"vocab": 0}), (0, {"shades": 0}), (0, {"nosuch": 1}), (0, {"dim": 7}), (0, {"vocab": 10**12}),
        (5, {"arch": "x"}), (5, {"dropout": 2}), (5, {"dropout": "x"}), (5, {"dropout": float("nan")}),
        (7, {"heads": 0}), (7, {"heads": 3}), (7, {"actions": 0}), (7, {"layers": -1}), (7, {"context": "x"}),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_one_line(tmp_path, place, changes):
    model = TINY[place]
    model.save_pretrained(tmp_path)
    described = {"class": type(model).__name__, "config": model.config | changes}
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"not a \w+ of this version|cannot be read") as caught:
        type(model).from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\0", '{"class": "Tokenizer", "config": [1]}'])
def test_a_config_that_is_none_is_one_line(tmp_path, text):
    TINY[0].save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json: cannot be read") as caught:
        Tokenizer.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    TINY[5].save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = max(weights, key=lambda name: weights[name].numel())
    weights[name].view(-1)[-1] = value
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=rf"{name} is not finite"):
        RewardModel.from_pretrained(tmp_path)


def test_weights_of_an_older_emurl_are_read(tmp_path):
    """The names of weights are a file format, and stay; fewer arguments were written down."""
    names = ("codebook.quantiser.", "neighbours.")
    for model, known in ((TINY[0], {"dim": 16, "depth": 1, "vocab": 16, "code_dim": 8}), (TINY[4], TINY[4].config | {})):
        folder = model.save_pretrained(tmp_path / type(model).__name__)
        assert any(name.startswith(names) for name in load_file(folder / "model.safetensors"))
        known = {
            name: value
            for name, value in known.items()
            if name in ("dim", "depth", "vocab", "code_dim", "layers", "heads", "context")
        }
        (folder / "config.json").write_text(json.dumps({"class": type(model).__name__, "config": known}))
        again = type(model).from_pretrained(folder)
        assert again.config == model.config
        assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_pokemon_red_has_the_sizes_of_the_original():
    config = load_config("configs/pokemon_red.yaml")
    sight, foresight, watching = config.tokenizer, config.dynamics, config.behavior
    some = torch.randint(0, 4, (2, 144, 160)).to(torch.uint8)
    tokenizer = new_tokenizer(sight, ScreenSpec(), lambda: some)
    dynamics = new_dynamics(foresight, sight.vocab)
    policy = new_policy(watching, sight.vocab)
    reward = new_reward_model(config.reward, ScreenSpec())
    assert config.reward.arch == "resnet34"
    assert parameter_count(tokenizer) == pytest.approx(3.9e6, rel=0.1)
    assert parameter_count(dynamics) == pytest.approx(1.6e6, rel=0.1)
    assert parameter_count(reward) == pytest.approx(21e6, rel=0.1)
    assert agent_parameter_count(policy, tokenizer) == pytest.approx(5.5e6, rel=0.1)
    # and each learns from a batch
    grids = torch.randint(0, sight.vocab, (2, foresight.context + 1, 9, 10))
    seen = grids[:, :1].expand(-1, watching.context, -1, -1)
    batches = [
        (tokenizer, some),
        (dynamics, grids),
        (reward, (some, some)),
        (policy, (seen, torch.tensor([0, 1]), torch.ones(2))),
    ]
    for model, batch in batches:
        loss, _ = model.train().loss(batch)
        loss.backward()
        assert torch.isfinite(loss)


def test_a_shared_part_is_counted_once():
    tokenizer = Tokenizer(dim=16, depth=1, vocab=16, code_dim=8)
    assert parameter_count(tokenizer, tokenizer.encoder) == parameter_count(tokenizer)
    learned = sum(parameter.numel() for parameter in tokenizer.parameters())
    assert parameter_count(tokenizer) == learned + 16 * 8  # the codes, learned by moving averages
