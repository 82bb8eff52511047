"""Play a policy by the rules of `evaluation` and print how far it got, beside the clone it came from, a replay and chance.

    python tools/evaluate_policy.py --policy policy@v2 --episodes 20 --steps 400

Works on any `policy` or `behavior` artifact of the store; nothing is written.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from emurl.core.arguments import Parser


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="evaluate_policy",
        description="Play a policy from power-on; print success, milestones and progress with 95%% intervals.",
    )
    parser.add_argument("--policy", default="policy", metavar="STAGE[@VERSION]", help="policy or behavior (default: policy)")
    parser.add_argument("--episodes", type=int, metavar="N", help="episodes each (default: evaluation.episodes of the settings)")
    parser.add_argument("--steps", type=int, metavar="N", help="actions an episode at most (default: evaluation.max_steps)")
    parser.add_argument(
        "--wait-ticks", type=int, metavar="N", help="longest wait after power-on (default: evaluation.wait_ticks)"
    )
    parser.add_argument(
        "--sticky", type=float, metavar="P", help="chance that an action sticks (default: evaluation.sticky; 0: none)"
    )
    parser.add_argument("--config", default="configs/demo.yaml", metavar="FILE", help="settings (default configs/demo.yaml)")
    parser.add_argument("--store", metavar="URL", help="where the artifacts are (default: the settings' store)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of a table")
    return parser


def evaluate(args: argparse.Namespace) -> int:
    """Play and print; 0 when done. Raises `InputError` for a ref, a file or a value that is wrong."""
    from emurl.core.config import load_config
    from emurl.core.errors import InputError
    from emurl.core.store import Artifact, Store
    from emurl.core.tracking import Tracker
    from emurl.pipelines.shared.playing import consoles, emulator_of
    from emurl.pipelines.speedrun import evaluation
    from emurl.pipelines.speedrun.players import load_perception
    from emurl.training.scores import as_results, as_table, play_all, summarize
    from emurl.training.supervised import resolve_device

    overrides = [
        f"evaluation.{key}={value}"
        for key, value in (
            ("episodes", args.episodes),
            ("max_steps", args.steps),
            ("wait_ticks", args.wait_ticks),
            ("sticky", args.sticky),
        )
        if value is not None
    ]
    config = load_config(args.config, overrides)
    settings = config.evaluation
    store = Store(args.store or config.store)
    chosen = store.get(args.policy)
    if chosen.stage not in ("policy", "behavior"):
        raise InputError(f"--policy {args.policy}: {chosen.ref} holds no policy, expected policy or behavior")
    inputs: dict[str, Artifact] = {chosen.stage: chosen}
    for stage in ("tokenizer", "reward", *(("behavior",) if chosen.stage == "policy" else ())):
        # What the policy was made with; a reward model is no parent of a clone, so there the newest judges.
        inputs[stage] = store.get(chosen.parents.get(stage, stage))

    device = resolve_device(settings.device)
    perception, spec = load_perception(inputs, device)
    for artifact in inputs.values():
        settings = settings.model_copy(update={"emulator": emulator_of(artifact, settings.emulator)})
    footage = evaluation.footage_of(inputs)
    players = evaluation.players_of(inputs, perception, device, footage)
    envs = consoles(settings.emulator, spec, settings.episodes, facts=True)
    try:
        milestones, title = envs.consoles[0].milestones, envs.consoles[0].gameboy.title
        played = play_all(envs, perception, players, settings, Tracker("evaluation"))
    finally:
        envs.close()
    scores = [summarize(name, one, milestones) for name, one in played.items()]
    typical = None if footage is None else footage.footage_median_steps
    if args.json:
        print(json.dumps(as_results(scores, milestones, settings, title, typical)))
    else:
        print("\n".join(as_table(scores, milestones, settings, typical)))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; a mistake of the user's is one line and exit code 2."""
    from emurl.core.errors import EmurlError

    try:
        return evaluate(build_parser().parse_args(arguments))
    except EmurlError as error:
        print(f"evaluate_policy: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
