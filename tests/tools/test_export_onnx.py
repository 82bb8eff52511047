"""tools/export_onnx.py: what it writes answers as the network does, and what is no such network is refused in one line."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from emurl.agents.ppo.pixel_networks import PixelPolicy
from emurl.core.store import Store
from tests.fixtures.store import facts
from tools import export_onnx

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


def store_with(folder: Path, stage: str, hidden: int = 0) -> PixelPolicy:
    """A store with an untrained network, its heads large enough to differ."""
    torch.manual_seed(0)
    policy = PixelPolicy(8, 44, 40, 3, hidden=hidden).eval()
    torch.nn.init.normal_(policy.body.policy_head.weight)
    store, pipeline = Store(folder), "baseline" if stage == "cnn" else "speedrun"
    with store.making(pipeline, stage, "f" * 64) as output:
        policy.save_pretrained(output.path("policy"))
        store.publish(output, facts(pipeline, stage, "f" * 64))
    return policy


@pytest.mark.parametrize(("ref", "hidden"), [("cnn", 0), ("baseline/cnn@v1", 16)], ids=["feed-forward", "recurrent"])
def test_it_answers_as_the_network_does(ref, hidden, tmp_path, capsys):
    policy, out = store_with(tmp_path / "store", "cnn", hidden), tmp_path / "cnn.onnx"
    assert export_onnx.main([ref, "--out", str(out), "--store", str(tmp_path / "store")]) == 0
    told = capsys.readouterr()
    assert told.out.count("\n") == 1 and "frames uint8 (N, 3, 44, 40)" in told.out and not told.err
    assert [file.name for file in out.parent.iterdir() if file.is_file()] == ["cnn.onnx"]  # weights and all
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for n in (1, 5):
        frames, state = rng.integers(0, 256, (n, 3, 44, 40), np.uint8), rng.normal(size=(n, hidden)).astype(np.float32)
        given = {"frames": frames} | ({"state": state} if hidden else {})
        with torch.inference_mode():
            logits, values, after = policy.body.step({"state": state}, frames)
        expected = [logits.numpy(), values.numpy(), *([after["state"]] if hidden else [])]
        answers = session.run(None, given)
        assert [one.name for one in session.get_outputs()] == ["logits", "values", "next_state"][: len(expected)]
        for answer, right in zip(answers, expected, strict=True):
            assert answer.shape == right.shape and np.abs(answer - right).max() < 1e-4
        assert np.ptp(answers[0]) > 0.1


def test_what_cannot_be_exported_is_one_line(tmp_path, capsys, monkeypatch):
    store, out = str(tmp_path / "store"), str(tmp_path / "cnn.onnx")
    store_with(tmp_path / "store", "policy")
    assert export_onnx.main(["policy@v1", "--out", out, "--store", store]) == 2
    assert "policy@v1 holds no network that reads pixels, expected a cnn artifact" in capsys.readouterr().err
    assert export_onnx.main(["cnn@v3", "--out", out, "--store", store]) == 2
    assert "holds no cnn, expected one" in capsys.readouterr().err
    store_with(tmp_path / "store", "cnn")
    assert export_onnx.main(["cnn", "--out", str(tmp_path / "none" / "cnn.onnx"), "--store", store]) == 2
    assert "is no folder, expected one that is there" in capsys.readouterr().err
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "onnxscript" else find(name, *more))
    assert export_onnx.main(["cnn", "--out", out, "--store", store]) == 2
    told = capsys.readouterr().err
    assert told == "export_onnx: onnxscript: not installed, expected the extra: pip install 'emurl[onnx]'\n"
    assert not Path(out).exists()
