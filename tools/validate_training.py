"""Sanity checks before a long run: do the networks of a settings file learn at all, and how fast on this machine?

    python tools/validate_training.py --config configs/demo.yaml [--steps 60] [--json]

For every network, at the sizes of the settings file, on made-up data: the loss of one batch it is trained on again and again must fall by
half (overfitting one batch is the least a network does), and the gradient must reach every parameter. For the reward model:
the gradient of Bradley–Terry must raise the later frame. What tokenizer, dynamics and reward in the store measured of themselves
(order, aliasing and farming of the judge, false alarms, how alike footage and emulator are) is held against what a long run needs.
Exit code 1 when a check fails, 2 when the settings are wrong.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from emurl.core.arguments import Parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = Parser(prog="validate_training", description="Sanity checks before a long training run")
    parser.add_argument("--config", default="configs/demo.yaml", metavar="FILE")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=60, help="steps on one batch (default: 60)")
    parser.add_argument("--batch", type=int, default=8, help="samples in that batch (default: 8)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")
    options = parser.parse_args(arguments)

    from emurl.core.config import load_config
    from emurl.core.errors import EmurlError, InputError

    try:
        for option, number in (("--steps", options.steps), ("--batch", options.batch)):
            if number < 1:
                raise InputError(f"{option} {number}: expected a number ≥ 1")
        config = load_config(options.config, options.overrides)
        report = validate(config, options.steps, options.batch)
    except EmurlError as error:
        print(f"validate_training: {error}", file=sys.stderr)
        return error.exit_code
    good = all(row["passed"] for row in report.values())
    if options.json:
        print(json.dumps({"passed": good, "checks": report}))
    else:
        for name, row in report.items():
            print(f"{'ok  ' if row['passed'] else 'FAIL'} {name:<18} {row['text']}")
    return 0 if good else 1


def validate(config: Any, steps: int, batch: int) -> dict[str, dict[str, Any]]:
    """Every check by name: {passed, text, …}."""
    import torch

    from emurl.core.store import Store
    from emurl.pipelines.speedrun.health import of_store
    from emurl.training.supervised import resolve_device

    device = resolve_device(config.device)
    report = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for name, (model, data) in networks(config, batch).items():
            report[name] = overfit(model.to(device), data, steps, batch)
    report["bradley_terry"] = bradley_terry_sign()
    for stage, health in of_store(Store(config.store)).items():
        mend = "".join(f" → {norm.mend}" for norm in health.unmet)
        report[f"{stage} in store"] = {"passed": not health.unmet, "text": health.seen + mend, **health.told}
    return report


def networks(config: Any, batch: int) -> dict[str, tuple[Any, Any]]:
    """Each network of the settings with one made-up batch its loss takes."""
    import torch

    from emurl.envs.gameboy.console import BUTTONS
    from emurl.footage.inverse_labels import new_inverse_model
    from emurl.models.recurrent_policy import RecurrentPolicy
    from emurl.pipelines.speedrun.behavior import new_policy
    from emurl.pipelines.speedrun.dynamics import new_dynamics
    from emurl.pipelines.speedrun.reward import new_reward_model
    from emurl.pipelines.speedrun.tokenizer import new_tokenizer
    from emurl.screen import ScreenSpec

    sight, foresight, watching = config.tokenizer, config.dynamics, config.behavior
    spec = ScreenSpec(shades=config.screen.shades, channels=config.screen.channels)
    # Blocks of one cell: something a tokenizer can say, unlike noise.
    coarse = torch.randint(0, config.screen.shades, (2 * batch, 9, 10, *spec.shape[2:]))
    frames = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2).to(torch.uint8)
    grids = torch.randint(0, sight.vocab, (batch, max(foresight.context + 1, watching.context), 9, 10))
    actions = torch.arange(batch) % len(BUTTONS)
    policy = new_policy(watching, sight.vocab)
    seen: tuple[Any, ...] = (grids[:, : watching.context], actions, torch.ones(batch))
    if isinstance(policy, RecurrentPolicy):  # one sequence
        seen = (grids[:, :1], actions[:, None], torch.ones(batch, 1), torch.zeros(1, policy.hidden))
    return {
        "tokenizer": (
            new_tokenizer(sight, spec, lambda: frames),
            frames[:batch],
        ),
        "dynamics": (
            new_dynamics(foresight, sight.vocab),
            grids[:, : foresight.context + 1],
        ),
        "reward": (new_reward_model(config.reward, spec), (frames[:batch], frames[batch:])),
        "inverse": (new_inverse_model(watching.inverse, spec), (torch.stack([frames[:batch], frames[batch:]], dim=1), actions)),
        "policy": (policy, seen),
    }  # fmt: skip


def overfit(model: Any, data: Any, steps: int, batch: int) -> dict[str, Any]:
    """Train on one batch: did the loss halve, did every parameter get a gradient, how many samples a second?"""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    first = last = 0.0
    touched: set[str] = set()
    began = time.monotonic()
    for step in range(steps):
        loss, _ = model.loss(data)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        # A layer that starts at zero stops the gradient behind it for one step: some step must reach every parameter.
        touched |= {name for name, p in model.named_parameters() if p.grad is not None and bool((p.grad != 0).any())}
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        last = float(loss.detach())
        first = last if step == 0 else first
    seconds = time.monotonic() - began
    idle = sorted({name for name, _ in model.named_parameters()} - touched - VALUE_HEAD)
    passed = last < 0.5 * first and not idle
    text = f"loss {first:.3f} → {last:.3f} on one batch, {steps * batch / seconds:.0f} samples/s"
    if idle:
        text += f"; no gradient reaches {', '.join(idle)}"
    return {
        "passed": passed,
        "text": text,
        "first": first,
        "last": last,
        "samples_per_second": steps * batch / seconds,
        "idle": idle,
    }


VALUE_HEAD = {"value_head.weight", "value_head.bias"}  # cloning does not teach it: PPO does


def bradley_terry_sign() -> dict[str, Any]:
    """A step down the loss must raise the lead of the later frame."""
    import torch

    from emurl.models.reward import bradley_terry

    lead = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    bradley_terry(lead).backward()
    assert lead.grad is not None
    wanted = -torch.sigmoid(-lead.detach()) / 3
    passed = bool(torch.allclose(lead.grad, wanted, atol=1e-6))
    return {"passed": passed, "text": f"gradient in the lead {[round(float(g), 4) for g in lead.grad]}, −σ(−lead)/3 expected"}


if __name__ == "__main__":
    sys.exit(main())
