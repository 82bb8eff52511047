"""What each part of the speedrun pipeline is worth: leave it out, train for as long as before, and play.

    python tools/ablations.py --config configs/demo.yaml --seeds 0 1 2 --out ablations.json

A row is a change of settings (`--list` names them). Stages that a row does not change are found in the store, and a policy that was played
is found in `--out`, so whoever is ended goes on. Steps are set so that a row takes about as long as the whole policy stage; what it took
stands beside it.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from emurl.core.arguments import Parser

ONLY_PRACTICE = (
    "policy.explore.rounds=0",
    "policy.explore.first.steps=0",
    "policy.explore.scouted=false",
    "policy.practice.from_power_on=1.0",
)


class Row(NamedTuple):
    """One ablation."""

    about: str
    changes: tuple[str, ...] = ()


ROWS = {
    "all of it": Row("as the settings say"),
    "no practice": Row("eight rounds of exploring and imitating, no PPO", ("policy.explore.rounds=8", "policy.practice.steps=0")),
    "no imitation": Row(
        "PPO from places on the ways that the clone found, none of which is cloned",
        ("policy.explore.rounds=0", "policy.practice.steps=327680"),
    ),
    "no exploring": Row("PPO from power-on, with the clone and the judge", (*ONLY_PRACTICE, "policy.practice.steps=368640")),
    "no clone": Row(
        "an untrained network explores, imitates what it found, and practices", ("policy.start=scratch", "policy.explore.scouted=false")
    ),
    "no judge": Row("PPO from the clone, paid by the ranker, which sees one frame", ("policy.method=ppo", "policy.total_steps=368640")),
    "no judge, no memory": Row(
        "the same with a policy of one frame", ("policy.method=ppo", "policy.total_steps=368640", "behavior.memory=none")
    ),
    "the judge alone": Row(
        "PPO from power-on of an untrained network, paid by the judge",
        (*ONLY_PRACTICE, "policy.start=scratch", "policy.kl_coef=0.0", "policy.practice.steps=368640"),
    ),
}  # fmt: skip


def build_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="ablations", description="Leave parts of the speedrun pipeline out, and play what is learned without them"
    )
    parser.add_argument("--config", default="configs/demo.yaml", metavar="FILE")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="for every row, over its own"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="training seeds (default: 0)")
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=tuple(ROWS), metavar="NAME", help="default: all")
    parser.add_argument("--input", action="append", default=[], metavar="REF", help="a version of a parent, instead of making it")
    parser.add_argument("--out", default="ablations.json", metavar="FILE", help="what was played (default: ablations.json)")
    parser.add_argument("--list", action="store_true", help="the rows and their settings, and nothing else")
    return parser


def train(config: Any, refs: Sequence[str]) -> Any:
    """The policy of these settings; with `refs` for parents only the stages between them and it are made."""
    from emurl.core.engine import run_pipeline
    from emurl.core.pipeline import find_pipeline

    given = {stage_of(ref) for ref in refs}
    names = [stage.name for stage in find_pipeline("speedrun").stages][:-1]
    first = max((names.index(name) + 1 for name in given if name in names), default=0)
    return run_pipeline(config, names[first:], inputs=refs)[-1].artifact


def stage_of(ref: str) -> str:
    """The stage of `reward@v2`."""
    from emurl.core.artifact import split_ref

    return split_ref(ref)[1]


def differs(ref: str, row: Row) -> bool:
    """Whether the stage of `ref` is one that `row` changes."""
    return any(change.startswith(f"{stage_of(ref)}.") for change in row.changes)


def played(file: Path) -> list[dict[str, Any]]:
    """What was played before, as written into `file`; nothing if there is none."""
    from emurl.core.errors import InputError

    if not file.exists():
        return []
    try:
        rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        table(rows)
        if not all({"policy", "rules"} <= row.keys() for row in rows):
            raise ValueError("rows of something else")
        return rows
    except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise InputError(f"--out {file}: {error!r}, expected what this tool wrote, or no file") from None


def rules_of(settings: Any) -> dict[str, Any]:
    """What decides how a policy is scored."""
    from emurl.training.scores import Rules

    return {name: getattr(settings, name) for name in Rules.model_fields}


def score(policy: Any, store: Any, rules: Any) -> dict[str, Any]:
    """How `policy` plays by the rules of `evaluation`."""
    from emurl.core.tracking import Tracker
    from emurl.pipelines.shared.playing import consoles, emulator_of
    from emurl.pipelines.speedrun.players import load_perception, player_of
    from emurl.training.scores import as_results, play_all, summarize
    from emurl.training.supervised import resolve_device

    device = resolve_device(rules.device)
    inputs = {"policy": policy} | {name: store.get(policy.parents[name]) for name in ("tokenizer", "reward")}
    perception, spec = load_perception(inputs, device)
    envs = consoles(emulator_of(policy, rules.emulator), spec, rules.episodes, facts=True)
    try:
        milestones = envs.consoles[0].milestones
        played = play_all(envs, perception, [player_of("policy", policy, perception, device)], rules, Tracker("evaluation"))
    finally:
        envs.close()
    found = as_results([summarize("policy", played["policy"], milestones)], milestones, rules, "")["players"]["policy"]
    return {
        "minutes": policy.metrics["wall_seconds"] / 60,
        **{name: [found[name], found[f"{name}_low"], found[f"{name}_high"]] for name in ("success_rate", "success_rate_sticky")},
        "milestones": {name: one["rate"] for name, one in found["milestones"].items()},
    }


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    names = list(rows[0]["milestones"])
    lines = [f"| left out | seed | success | sticky | {' | '.join(name.replace('_', ' ') for name in names)} | minutes |"]
    lines.append("|---" * (5 + len(names)) + "|")
    for row in rows:
        rates = [
            f"{100 * v:.0f} % ({100 * a:.0f}–{100 * b:.0f})" for v, a, b in (row["success_rate"], row["success_rate_sticky"])
        ]
        past = [f"{100 * rate:.0f}" for rate in row["milestones"].values()]
        lines.append(f"| {' | '.join([row['row'], str(row['seed']), *rates, *past, format(row['minutes'], '.1f')])} |")
    return lines


def run(options: Any) -> None:
    """Train and play what `options` ask for, and print the table."""
    from emurl.core.config import load_config
    from emurl.core.engine import open_store
    from emurl.core.errors import InputError
    from emurl.core.files import write_atomically
    from emurl.core.refusals import require_file, writing

    require_file("--out", options.out, ".json")
    out = Path(options.out)
    done = played(out)
    for ref in options.input:
        if stage_of(ref) in ("policy", "evaluation"):
            raise InputError(f"--input {ref}: is made here, expected a version of a stage before it")
    rows = []
    for seed in options.seeds:
        for name in options.rows:
            config = load_config(options.config, [f"seed={seed}", *ROWS[name].changes, *options.overrides])
            policy = train(config, [ref for ref in options.input if not differs(ref, ROWS[name])])
            row = {"row": name, "seed": seed, "policy": policy.digest, "rules": rules_of(config.evaluation)}
            found = next((one for one in done if row.items() <= one.items()), None)
            if found is None:
                found = row | score(policy, open_store(config), config.evaluation)
                done.append(found)
                with writing(f"--out {out}"), write_atomically(out) as aside:
                    aside.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
            rows.append(found)
    print("\n".join(table(rows)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code."""
    from emurl.core import interrupt, log
    from emurl.core.errors import EmurlError

    options = build_parser().parse_args(arguments)
    log.start()
    if options.list:
        for name, row in ROWS.items():
            print(f"{name:<20} {row.about}\n{'':<20} {' '.join(row.changes)}".rstrip())
        return 0
    try:
        with interrupt.handled(ends_process=arguments is None):
            run(options)
    except EmurlError as error:
        log.failed(str(error))
        return error.exit_code
    except (KeyboardInterrupt, interrupt.Terminated) as asked:
        return interrupt.end(signal.SIGINT if isinstance(asked, KeyboardInterrupt) else signal.SIGTERM)
    return 0


if __name__ == "__main__":
    sys.exit(main())
