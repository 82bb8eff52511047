"""The command line: thin words over `emurl.core.engine` and friends. Everything heavy is imported inside the word that needs it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emurl import __version__
from emurl.cli import artifacts
from emurl.cli.options import add_json, add_log, add_store, answer, open_store
from emurl.core import interrupt, log, proxies
from emurl.core.arguments import Parser
from emurl.core.artifact import DEFAULT_PIPELINE
from emurl.core.errors import EmurlError, InputError, NotMade
from emurl.core.files import at_home, is_disk_full
from emurl.core.progress import Pulse
from emurl.core.refusals import one_line
from emurl.core.registry import usable

CONFIG = "configs/demo.yaml"  # where none is named
BASELINE = "configs/baseline_demo.yaml"  # the same, of `bench cnn`
STEPS = 400  # actions that are drawn at random, where nobody says how many
SHELLS = ("bash", "zsh", "fish")
KEEPING = ("run", "sweep")  # words that, given again, go on where they were
BENCHES = ("emulator", "frames", "loader", "tokenizer", "policy", "ood", "cnn")


def build_parser(completing: bool = False) -> argparse.ArgumentParser:
    """The words of the command line.

    Args:
        completing: for a shell that completes them: with the stages as choices, which a wrong one is told of in better words otherwise.
    """
    parser = Parser(prog="emurl", description="Learn to play a Game Boy game from other people's speedruns.")
    parser.add_argument("--version", action="version", version=f"emurl {__version__}")
    add_log(parser, default=False)
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")

    tables = usable("pipelines").values()  # a half-made one must not keep the words from those who do not ask for it
    stages = "; ".join(f"{table.name}: {', '.join(table.by_name)}" for table in tables)
    names = [*dict.fromkeys(name for table in tables for name in table.by_name)] if completing else None
    run = words.add_parser("run", help="run a pipeline, or some of its stages")
    run.add_argument(
        "stages", nargs="*", metavar="STAGE", choices=names, help=f"some of the pipeline's ({stages}); all when none is named"
    )
    _add_config(run)
    run.add_argument("--pipeline", metavar="NAME", help="the config's own, by default speedrun")
    run.add_argument("--force", action="store_true", help="run even when nothing has changed")
    run.add_argument("--input", action="append", default=[], metavar="REF", help="take this version of a parent, as in reward@v2")
    run.set_defaults(do=_run)

    artifacts.add(words.add_parser("artifacts", help="look at the store, keep it small, carry it elsewhere"))

    bench = words.add_parser("bench", help="speed, as ratios to a named peer in the same run")
    bench.add_argument("what", choices=BENCHES)
    _add_config(bench, f"settings (default {CONFIG}, of cnn {BASELINE})")
    bench.set_defaults(do=_bench)

    doctor = words.add_parser("doctor", help="what is missing before a long run, and how to mend it")
    _add_config(doctor)
    doctor.set_defaults(do=_doctor)

    compare = words.add_parser("compare", help="settings and metrics of versions side by side")
    compare.add_argument("refs", nargs="+", metavar="REF", help="versions such as reward@v1 reward@v2")
    add_store(compare)
    add_json(compare)
    compare.set_defaults(do=_compare)

    _add_sweep(words.add_parser("sweep", help="search the settings of a stage for the best metric"), names)

    train = words.add_parser("train", help="train an agent on any Gymnasium environment, without a store")
    train.add_argument("agent", metavar="AGENT", help="ppo, recurrent_ppo, or any other that is installed")
    train.add_argument("--env", required=True, metavar="ID", help="the environment, as in CartPole-v1")
    train.add_argument(
        "--import", action="append", default=[], dest="imports", metavar="MODULE", help="a module that registers it"
    )
    train.add_argument("--steps", type=int, required=True, metavar="N", help="environment steps, of all environments together")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything (default 0)")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the agent, as in num_envs=4")
    add_json(train)
    train.set_defaults(do=_train)

    play = words.add_parser("play", help="watch a policy: frame | what it sees | progress | action probabilities")
    play.add_argument("ref", nargs="?", metavar="STAGE[@VERSION]", help="policy, behavior or cnn (default: the pipeline's)")
    _add_config(play)
    play.add_argument("--video", metavar="FILE", help="write a .gif, .mp4 or .html instead of opening a window")
    play.add_argument("--episodes", type=int, default=1, metavar="N", help="played side by side, with a summary (default 1)")
    player = play.add_mutually_exclusive_group()
    player.add_argument("--bot", action="store_true", help="the game's own bot instead of a policy")
    player.add_argument("--random", action="store_true", help="buttons drawn at random instead of a policy")
    play.add_argument(
        "--steps", type=int, metavar="N",
        help=f"actions to play at most (default: the config's evaluation.max_steps, of --random {STEPS}); the bot plays to the end",
    )  # fmt: skip
    play.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the sampled actions and the wait (default 0)")
    play.add_argument(
        "--sticky", type=float, default=0.0, metavar="P", help="chance that an action is the one before (default 0)"
    )
    play.set_defaults(do=_play)

    splits = words.add_parser("splits", help="when runs pass the moments that the whole footage has in common")
    splits.add_argument(
        "what", nargs="?", metavar="VIDEO|RUN", help="a video file, or a run of the footage; every run of it when none is named"
    )
    _add_config(splits)
    splits.add_argument("--sheet", metavar="FILE.png", help="write a picture of every split")
    splits.add_argument("--lss", metavar="FILE.lss", help="write the times for LiveSplit")
    splits.add_argument("--input", default="reward", metavar="REF", help="by the judge of this version, as in reward@best")
    splits.set_defaults(do=_splits)

    completion = words.add_parser(
        "completion", help='what a shell needs to complete these words: eval "$(emurl completion bash)"'
    )
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(do=_completion)
    return parser


def _add_sweep(sweep: argparse.ArgumentParser, names: Sequence[str] | None) -> None:
    sweep.add_argument("stage", metavar="STAGE", choices=names, help="the stage whose metric counts")
    sweep.add_argument(
        "--search", action="append", default=[], metavar="KEY=SPACE",
        help="a setting and what it may be: policy.gamma=0.9..0.999, policy.learning_rate=1e-5..1e-3:log, policy.num_envs=8,16,32;"
        " of the stage or of one it comes of, which is then made for every trial, too",
    )  # fmt: skip
    sweep.add_argument(
        "--trials", type=int, metavar="N", help="of the whole sweep, earlier ones included (default 20, of a grid all of it)"
    )
    sweep.add_argument("--metric", metavar="NAME", help="what counts (default: the stage's headline)")
    sweep.add_argument(
        "--direction", choices=("minimize", "maximize"), help="which way is better (default: the arrow of the metric)"
    )
    sweep.add_argument("--sampler", choices=("tpe", "random", "grid"), default="tpe", help="how trials are drawn (default tpe)")
    sweep.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn (default 0)")
    sweep.add_argument("--name", metavar="NAME", help="what the sweep is called (default: the digest of what is asked for)")
    sweep.add_argument(
        "--no-prune", action="store_true", help="finish every trial; else one below the median of the others is given up"
    )
    sweep.add_argument(
        "--prune-by", metavar="NAME[:WAY]", help="prune by another logged number, as in val_loss:minimize (default: the metric)"
    )
    sweep.add_argument(
        "--warmup", type=int, default=5, metavar="N", help="trials that are finished before any is pruned (default 5)"
    )
    sweep.add_argument("--pipeline", metavar="NAME", help="the config's own, by default speedrun")
    sweep.add_argument(
        "--input", action="append", default=[], metavar="REF", help="take this version of a parent, as in reward@v2"
    )
    _add_config(sweep)
    sweep.set_defaults(do=_sweep)


def _add_config(parser: argparse.ArgumentParser, told: str = f"settings (default {CONFIG})") -> None:
    parser.add_argument("--config", default=CONFIG, metavar="FILE", help=told)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one, as in reward.epochs=2")
    add_store(parser, "the config's, or data")
    add_json(parser)


def _config(args: argparse.Namespace, more: Sequence[str] = ()) -> Any:
    from emurl.core.config import load_config

    overrides = [*args.set, *more]
    if args.store is not None:
        overrides.append(f"store={json.dumps(args.store)}")
    try:
        config = load_config(args.config, overrides, getattr(args, "pipeline", None))
    except InputError:
        if args.config == CONFIG and not Path(CONFIG).exists():  # nobody has written that name
            raise InputError(
                f"{CONFIG}: no such file here, which is the default; expected --config FILE, or to be run in the checkout of emurl"
            ) from None
        raise
    args.config_pipeline = config.pipeline
    return config


def _config_of_speedrun(args: argparse.Namespace, word: str) -> Any:
    from emurl.core.pipeline import require_pipeline

    config = _config(args)
    require_pipeline(config.pipeline, DEFAULT_PIPELINE, word)
    return config


def _run(args: argparse.Namespace) -> int:
    from emurl.core import engine

    config = _config(args)
    _require_devices(config, args.stages)
    results = engine.run_pipeline(config, args.stages, force=args.force, inputs=args.input)
    answer(args, [result.as_json() for result in results], lambda: engine.closing_table(results))
    return 0


def _require_devices(config: Any, stages: Sequence[str]) -> None:
    """Refuse a device that is not there before the first stage begins, and not hours later when its own stage does."""
    from emurl.core.engine import stage_settings
    from emurl.core.pipeline import find_pipeline

    rows = find_pipeline(config.pipeline).choose(stages)
    named = {getattr(stage_settings(config, row), "device", "auto") for row in rows} - {"auto"}
    if named:
        from emurl.training.supervised import resolve_device

        for name in sorted(named):
            resolve_device(name)


def _completion(args: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError:
        raise InputError("completion: shtab is not installed, expected `pip install shtab`") from None
    print(shtab.complete(build_parser(completing=True), shell=args.shell))
    return 0


def _bench(args: argparse.Namespace) -> int:
    import importlib

    from emurl.core.pipeline import require_pipeline
    from emurl.core.store import Store

    if sys.platform == "win32" and args.what in ("frames", "loader"):
        raise InputError(f"bench {args.what}: counts what a POSIX system counts, expected Linux (on Windows: WSL)")
    if args.what == "cnn":
        args.config = BASELINE if args.config == CONFIG else args.config
        config = _config(args)
        require_pipeline(config.pipeline, "baseline", "bench cnn")
    else:
        config = _config_of_speedrun(args, f"bench {args.what}")
    began = time.monotonic()
    with Pulse(f"bench {args.what}", lambda: ("measuring", began)):
        figures = importlib.import_module(f"emurl.bench.{args.what}").run(config, Store(config.store))
    answer(args, figures, lambda: "\n".join(f"{name:<36} {value}" for name, value in figures.items()))
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from emurl import doctor

    checks = doctor.examine(_config(args))
    answer(args, [check.as_json() for check in checks], lambda: doctor.as_text(checks))
    return 1 if any(check.verdict == "missing" for check in checks) else 0


def _compare(args: argparse.Namespace) -> int:
    from emurl import compare

    store = open_store(args)
    table = compare.side_by_side([store.get(ref) for ref in args.refs])
    answer(args, table, lambda: compare.as_text(table))
    return 0


def _emulator(args: argparse.Namespace) -> Any:
    """Which ROM the bot or chance plays; without the default settings file, the game in the package."""
    if args.config == CONFIG and not Path(CONFIG).exists():
        args.config = None
    emulator = _config_of_speedrun(args, "play").policy.emulator
    from emurl.envs.gameboy.env import check_timing

    check_timing(emulator.frame_skip, emulator.press_ticks)  # nothing trained says how it is played: these are all there is
    return emulator


def _home(path: str | None) -> str | None:
    """A path of the command line with `~` as home: a shell leaves that of `--video=~/run.mp4` to us."""
    return None if path is None else str(at_home(path))


def _check_seed(args: argparse.Namespace) -> None:
    if not 0 <= args.seed < 2**63:
        raise InputError(f"--seed {args.seed}: expected a number ≥ 0 and below 2^63")


def _sweep(args: argparse.Namespace) -> int:
    from emurl.sweep import Asked, as_text, sweep

    _require_devices(_config(args), [args.stage])
    told = sweep(
        lambda lines: _config(args, lines),
        Asked(
            args.stage, args.search, args.trials, args.metric, args.direction, args.name, args.seed, args.sampler,
            not args.no_prune, args.prune_by, args.warmup, args.input,
        ),
    )  # fmt: skip
    answer(args, told, lambda: as_text(told))
    return 0


def _train(args: argparse.Namespace) -> int:
    if args.steps < 1:
        raise InputError(f"--steps {args.steps}: expected a number of steps ≥ 1")
    _check_seed(args)
    from emurl.train import train

    told = train(args.agent, args.env, steps=args.steps, seed=args.seed, overrides=args.set, imports=args.imports)

    def text() -> str:
        last = told["returns"][-100:]
        mean = f"{sum(last) / len(last):.4g}" if last else "no episode ended"
        return f"{told['agent']} on {told['env']}: {told['steps']} steps in {told['seconds']} s, mean return of the last {len(last)}: {mean}"

    answer(args, told, text)
    return 0


def _play(args: argparse.Namespace) -> int:
    _check_seed(args)
    args.video = _home(args.video)
    if args.bot or args.random:
        from emurl.play_scripted import play_bot, play_random

        if args.sticky:
            raise InputError(f"--sticky {args.sticky}: only a policy is played with it, expected neither --bot nor --random")
        if args.episodes != 1:
            raise InputError(f"--episodes {args.episodes}: only a policy plays several, expected neither --bot nor --random")
        if args.bot and args.steps is not None:
            raise InputError(f"--steps {args.steps}: the bot plays to the end, expected no --steps with --bot")
        emulator = _emulator(args)
        steps = STEPS if args.steps is None else args.steps
        played = play_bot(emulator, args.seed, args.video) if args.bot else play_random(emulator, args.seed, steps, args.video)
        answer(args, played, lambda: "\n".join(f"{name}: {value}" for name, value in played.items()))
        return 0
    from emurl import play
    from emurl.core.store import Store

    config = _config(args)
    facts = play.watch(
        config,
        Store(config.store),
        play.ref_of(args.ref, config.pipeline),
        steps=args.steps,
        seed=args.seed,
        video=args.video,
        sticky=args.sticky,
        episodes=args.episodes,
    )
    answer(args, facts, lambda: play.as_text(facts))
    return 0


def _splits(args: argparse.Namespace) -> int:
    from emurl import splits
    from emurl.core.store import Store
    from emurl.report.splits_table import as_text

    config = _config(args)
    told = splits.splits(
        config, Store(config.store), _home(args.what), sheet=_home(args.sheet), lss=_home(args.lss), judge_of=args.input
    )
    answer(args, told, lambda: as_text(told))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one word; returns the exit code: 0 done, 1 the work failed, 2 the input is wrong, 130 interrupted, 143 terminated."""
    log.forgive_encodings()
    args = build_parser().parse_args(argv)
    log.start(as_json=args.log_json)
    proxies.spare_loopback()
    try:
        with interrupt.handled(ends_process=argv is None, goes_on=args.word in KEEPING):
            return int(args.do(args))
    except BrokenPipeError:  # `emurl … | head`: the reader has seen enough
        sys.stderr.close()
        return 0
    except EmurlError as error:
        if isinstance(error, NotMade):  # with the options of this command, for without them another thing would be made
            given = getattr(args, "config", None)
            error.config, error.store = (None if given == CONFIG else given), getattr(args, "store", None)
            error.config_pipeline = getattr(args, "config_pipeline", DEFAULT_PIPELINE)
        log.failed(str(error))
        return error.exit_code
    except Exception as error:
        if not is_disk_full(error):  # a bug, and its traceback is worth reading
            raise
        log.failed(f"the disk is full ({one_line(error)}); free some and run again")
        return 1
    except (KeyboardInterrupt, interrupt.Terminated) as asked:
        signum = signal.SIGINT if isinstance(asked, KeyboardInterrupt) else signal.SIGTERM
        return interrupt.say(signum) if argv is not None else interrupt.end(signum)
