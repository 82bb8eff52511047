"""How strange is footage to a tokenizer and a dynamics model? Also where `OODDetector` is imported from.

    python tools/ood_detector.py [TOKENIZER DYNAMICS]                          scores of held-out pairs beside those of known strangers
    python tools/ood_detector.py [TOKENIZER DYNAMICS] --calibrate              write anew what is usual on held-out footage
    python tools/ood_detector.py [TOKENIZER DYNAMICS] --test-temporal          AUROC of held-out footage against kinds of strangers
    python tools/ood_detector.py [TOKENIZER DYNAMICS] VIDEO|FOLDER [--csv FILE] [--chart FILE.png]

TOKENIZER, DYNAMICS and --frames are refs (`tokenizer@v3`) in the store, or folders. A FOLDER holds PNG frames of 160×144 in the order of
their names. Scores are shares of held-out footage that is less strange, 0 … 1; from the threshold on a moment is flagged.

    from tools.ood_detector import OODDetector
    detector = OODDetector.from_tokenizer("tokenizer", "dynamics")
    scores = detector.compute_combined_ood_scores(frames_t, frames_t1)   # (N,)
    adjusted = detector.shrink_gains(rewards, detector.get_reward_multiplier(scores))

Exit code 2 when what was given is wrong; one line says what was expected.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # run as a file: the repository's root is not on the path, the installed package is
    sys.path.append(str(Path(__file__).resolve().parent.parent))

import numpy as np

from emurl.core import log
from emurl.core.arguments import Parser
from emurl.core.errors import EmurlError, InputError
from emurl.core.refusals import require_file, shortly
from emurl.core.store import Store
from emurl.core.tracking import Tracker
from emurl.rewards.calibration import Calibration, OODSettings, is_count, scores_of_others
from emurl.rewards.novelty import KnownPatches
from emurl.rewards.ood import CALIBRATED, OODDetector, describe, load_models, model_folder, patches_file

if TYPE_CHECKING:
    from emurl.footage.dataset import FrameReader
    from emurl.screen import ScreenSettings

# What reads footage and plays is imported where it is needed: whoever wants the detector alone need not wait for it.

__all__ = ["OODDetector", "main"]

MOST_PAIRS = 100_000  # their frames are held in memory, about 50 KB a pair, and as many again to compare them with
FPS_RANGE = (0.001, 1000.0)
SKIPS = (2, 4, 8)  # actions, where one is meant
FPS = 7.5  # of the footage, where an artifact of an older emurl does not tell


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = Parser(prog="ood_detector", description="How strange is footage to a tokenizer and a dynamics model?")
    parser.add_argument(
        "words", nargs="*", metavar="[TOKENIZER DYNAMICS] [VIDEO|FOLDER]",
        help="the models as refs or folders (default: tokenizer and dynamics, the newest in the store), and what to look at",
    )  # fmt: skip
    parser.add_argument("--store", default="data", help="store the refs are of (default: data)")
    parser.add_argument("--frames", default="frames", help="ref or folder of frames (default: the newest in the store)")
    parser.add_argument(
        "--pairs", type=int, default=512, help="how many held-out pairs (default: 512; all of them for --calibrate)"
    )
    parser.add_argument("--calibration", metavar="FILE", help="what is usual (default: what lies beside the dynamics model)")
    parser.add_argument("--calibrate", action="store_true", help="write what is usual on held-out footage")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help=f"where --calibrate writes (default: {CALIBRATED} beside the model)"
    )
    parser.add_argument(
        "--threshold", type=float, help="with --calibrate: score from which on something is strange (default: 0.99)"
    )
    parser.add_argument("--test-temporal", action="store_true", help="a table of AUROCs")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write a row a moment: time, scores, flagged")
    parser.add_argument("--chart", metavar="FILE", type=Path, help="write a strip chart (PNG)")
    parser.add_argument("--fps", type=float, help="pictures a second of a FOLDER (default: as the footage)")
    parser.add_argument(
        "--crop", metavar="X,Y,WIDTH,HEIGHT", help="the game's screen in a VIDEO, in pixels (default: it is looked for)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")
    options = parser.parse_args(arguments)
    log.start()
    try:
        return _run(options)
    except EmurlError as error:
        print(f"ood_detector: {error}", file=sys.stderr)
        return error.exit_code


def _run(options: argparse.Namespace) -> int:
    words = options.words
    if len(words) > 3:
        raise InputError(f"{len(words)} words, expected at most TOKENIZER DYNAMICS and one VIDEO or FOLDER")
    sight, foresight = words[:2] if len(words) > 1 else ("tokenizer", "dynamics")
    target = Path(words[-1]) if len(words) in (1, 3) else None
    _check(options, target)
    if options.calibrate:
        with Tracker("calibration").pulse():
            return _calibrate(options, sight, foresight)
    detector = OODDetector.from_tokenizer(sight, foresight, store=options.store, calibration=options.calibration)
    if target is not None:
        return _look(options, detector, target)
    reader = _reader(options)
    with Tracker("held-out pairs").pulse():
        table = (test_temporal if options.test_temporal else measure)(detector, reader, options.pairs)
    _print(options, table)
    return 0


def _check(options: argparse.Namespace, target: Path | None) -> None:
    """Refuse what does not go together, before anything is read."""
    if options.calibrate + options.test_temporal + (target is not None) > 1:
        raise InputError("--calibrate, --test-temporal and a VIDEO or FOLDER were given together, expected one of them")
    if (options.csv or options.chart) and target is None:
        raise InputError("--csv and --chart are of a VIDEO or FOLDER, and none was given")
    if options.out and not options.calibrate:
        raise InputError("--out is where --calibrate writes, expected both")
    if not 2 <= options.pairs <= MOST_PAIRS:
        raise InputError(f"--pairs is {shortly(options.pairs)}, expected 2 to {MOST_PAIRS}")
    low, high = FPS_RANGE
    if options.fps is not None and not low <= options.fps <= high:
        raise InputError(f"--fps is {options.fps}, expected {low:g} to {high:g} pictures a second")
    if options.fps is not None and (target is None or target.is_file()):
        raise InputError("--fps is of a FOLDER, and none was given")
    if options.crop is not None and (target is None or target.is_dir()):
        raise InputError("--crop is of a VIDEO, and none was given")
    if options.threshold is not None and not options.calibrate:
        raise InputError("--threshold is what --calibrate writes, expected both")
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        raise InputError(f"--threshold is {options.threshold}, expected a score, 0 … 1")
    require_file("--csv", options.csv)
    require_file("--chart", options.chart, ".png")
    require_file("--out", options.out)


def _reader(options: argparse.Namespace) -> FrameReader:
    from emurl.footage.dataset import FrameReader

    frames = Path(options.frames)
    return FrameReader(frames if frames.is_dir() else Store(options.store).get(options.frames).folder)


def _print(options: argparse.Namespace, table: dict[str, dict[str, float]]) -> None:
    if options.json:
        print(json.dumps(table))
        return
    width = max(len(name) for name in table) + 2
    for name, row in table.items():
        print(f"{name:<{width}}" + "  ".join(f"{key} {value:.3g}" for key, value in row.items()))


def measure(detector: OODDetector, reader: FrameReader, pairs: int) -> dict[str, dict[str, float]]:
    """Scores of held-out pairs, of pairs whose second frame is any other, and of noise."""
    rng = np.random.default_rng(0)
    now, later = reader.pairs(rng, pairs, "val", detector.frame_stride)
    noise = rng.integers(0, reader.spec.shades, later.shape).astype(np.uint8)
    return {
        "held_out": describe(detector, now, later),
        "shuffled": describe(detector, now, later[rng.permutation(len(later))]),
        "noise": describe(detector, now, noise),
    }


def test_temporal(detector: OODDetector, reader: FrameReader, pairs: int) -> dict[str, dict[str, float]]:
    """How well each score tells strangers from held-out pairs: area under the ROC curve by kind of stranger, and what is flagged of it.

    The kinds: successors of other moments (shuffled), those of 2, 4 and 8 actions (skipped), tiles in disorder, and noise.
    """
    from emurl.pipelines.speedrun.ranks import separation
    from emurl.pipelines.speedrun.strangers import disorder, heldout, noise

    rng, stride = np.random.default_rng(0), detector.frame_stride
    video, index = heldout(reader, stride, pairs)
    now, later = reader.gather(video, index), reader.gather(video, index + stride)
    kinds = {"shuffled": (now, later[rng.permutation(len(later))])}
    for skip in SKIPS:
        inside = index + skip * stride < np.array([reader.videos[int(one)].count for one in video])
        if inside.any():
            kinds[f"skipped {skip}"] = (now[inside], reader.gather(video[inside], index[inside] + skip * stride))
    mixed, changed = disorder(rng, later)
    kinds |= {"disorder": (now[changed], mixed[changed]), "noise": (now, noise(rng, detector, later))}
    usual = _scores(detector, now, later)
    table = {"held_out": {"pairs": float(len(now)), "flagged": float(detector.is_strange(usual["combined"]).mean())}}
    for kind, strangers in kinds.items():
        found = _scores(detector, *strangers)
        table[kind] = {f"auroc_{name}": separation(usual[name], found[name]) for name in usual}
        table[kind]["flagged"] = float(detector.is_strange(found["combined"]).mean())
    return table


test_temporal.__test__ = False  # type: ignore[attr-defined]  # named as the option is, and no test


def _scores(detector: OODDetector, now: np.ndarray, later: np.ndarray) -> dict[str, np.ndarray]:
    """The three scores of pairs, with each frame looked at once."""
    found, usual = detector.signs(now, later), detector.calibration
    return {
        "frame": usual.frame_score(found),
        "temporal": usual.score("surprise", found["surprise"]),
        "combined": usual.combined_score(found),
    }


def _calibrate(options: argparse.Namespace, tokenizer: str, dynamics: str) -> int:
    from emurl.footage.transitions import transitions
    from emurl.pipelines.speedrun.strangers import heldout_signs, known_patches

    reader = _reader(options)
    sight, foresight = load_models(tokenizer, dynamics, options.store)
    beside = model_folder(dynamics, options.store)
    place = beside.parent if beside.name == "model" else beside
    try:
        stride = OODDetector.from_tokenizer(tokenizer, dynamics, options.store, calibration=options.calibration).frame_stride
    except InputError:  # there is nothing yet that could tell, or it is damaged
        stride = _stride_of(place)
    settings = OODSettings() if options.threshold is None else OODSettings(threshold=options.threshold)
    known: KnownPatches = known_patches(sight, reader, settings)
    video, index = transitions(reader, "val", stride)
    found = heldout_signs(sight, foresight, known, reader, video, index, stride)
    usual = Calibration.of(found, settings, frame_stride=stride, fps=reader.videos[int(video[0])].fps)
    file = options.out or place / CALIBRATED
    try:
        known.save(patches_file(file))  # first: quantiles of novelty are of no use without it
        usual.save(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}), expected a place to write to with --out") from None
    _, combined = scores_of_others(found, video, settings)
    told = {
        "pairs": float(len(video)),
        "threshold": settings.threshold,
        "false_alarms": float((combined >= settings.threshold).mean()),
    }
    _print(options, {str(file): told})
    return 0


def _stride_of(folder: Path) -> int:
    """Footage frames between two grids, from an artifact's manifest; 1 without one.

    Raises:
        InputError: the manifest says what can be none.
    """
    try:
        told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        stride = told["settings"]["frame_stride"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 1
    if not is_count(stride):
        raise InputError(
            f"{folder / 'manifest.json'}: settings.frame_stride is {shortly(stride)}, expected a number of frames ≥ 1"
        )
    return int(stride)


def _look(options: argparse.Namespace, detector: OODDetector, target: Path) -> int:
    tracker = Tracker(target.name)
    with tracker.pulse():
        return _look_at(options, detector, target, tracker)


def _look_at(options: argparse.Namespace, detector: OODDetector, target: Path, tracker: Tracker) -> int:
    from emurl.pipelines.speedrun.watching import watch

    footage = float(detector.usual.get("fps", FPS))
    fps = options.fps if options.fps and target.is_dir() else footage
    tracker.doing("finding the screen, reading the frames")
    seen = watch(target, fps, _box(options.crop), _screen(detector))
    stride = max(1, round(detector.frame_stride * fps / footage))
    count = len(seen.frames)
    if count <= stride:
        raise InputError(f"{target}: shows {count} frames, expected more than {stride}: a pair is that far apart")
    tracker.doing(f"scoring {count} frames")
    pairs = _scores(detector, seen.frames[:-stride], seen.frames[stride:])
    lead = np.full(stride, np.nan, np.float32)  # nothing is known of what came before the first frames
    scores = {
        "frame": np.concatenate([detector.compute_ood_scores(seen.frames[:stride]), pairs["frame"]]),
        **{name: np.concatenate([lead, pairs[name]]) for name in ("temporal", "combined")},
    }
    flagged = detector.is_strange(np.where(np.isnan(scores["combined"]), scores["frame"], scores["combined"]))
    times = np.arange(count) / fps
    try:
        if options.csv:
            _write_csv(options.csv, times, scores, flagged, seen.game)
        if options.chart:
            _write_chart(options.chart, times, scores, flagged, seen.frames, detector, target.name)
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be written ({error.strerror}), expected a file in a folder that exists"
        ) from None
    row = {"frames": float(count), "flagged": float(flagged.mean()), "game": float(seen.game.mean())}
    _print(options, {target.name: row | {f"{name}_median": float(np.nanmedian(values)) for name, values in scores.items()}})
    return 0


def _screen(detector: OODDetector) -> ScreenSettings:
    """What the tokenizer reads. Whether four shades are by a palette nothing says: then a gray console's game is meant."""
    from emurl.screen import ScreenSettings

    read = detector.tokenizer
    return ScreenSettings.model_validate({"channels": read.channels, "shades": read.shades})


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        x, y, width, height = (float(part) for part in text.split(","))
        if min(x, y) < 0 or min(width, height) <= 0 or not np.isfinite([x, y, width, height]).all():
            raise ValueError
    except ValueError:
        raise InputError(f"--crop {text}: expected four numbers, X,Y,WIDTH,HEIGHT in pixels") from None
    return x, y, width, height


def _write_csv(file: Path, times: np.ndarray, scores: dict[str, np.ndarray], flagged: np.ndarray, game: np.ndarray) -> None:
    import pandas as pd

    columns: dict[str, Any] = {"time_s": times.round(4), **{f"{name}_score": values.round(6) for name, values in scores.items()}}
    pd.DataFrame({**columns, "flagged": flagged.astype(int), "game": game.astype(int)}).to_csv(file, index=False)


def _write_chart(
    file: Path,
    times: np.ndarray,
    scores: dict[str, np.ndarray],
    flagged: np.ndarray,
    frames: np.ndarray,
    detector: OODDetector,
    title: str,
) -> None:
    from emurl.report.strip import strip_chart
    from emurl.screen import to_gray

    table = detector.calibration.tables.get("combined")
    finest = 1.0 / len(table) if table is not None else 1e-4
    filled = {name: np.nan_to_num(values, nan=0.0) for name, values in scores.items()}
    strip_chart(times, filled, flagged, to_gray(frames, _screen(detector).spec), detector.threshold, finest, title).save(file)


if __name__ == "__main__":
    sys.exit(main())
