"""Artifacts that hold models and footage: weights, configurations and tables that are damaged, or somebody else's."""

import io
import json
import os
import pickle
import struct

import numpy as np

from tests.bad_input.kinds import Place, bad

PLAY = "play behavior --video run.mp4 --steps 2 --config a.yaml --store store"
BEHAVIOR = "speedrun/behavior/v1/policy"
WEIGHTS, CONFIG = f"{BEHAVIOR}/model.safetensors", f"{BEHAVIOR}/config.json"
DETECT = "tools.ood_detector --store store --pairs 4"
FRAMES = "speedrun/frames/v1"
RULES, DYNAMICS = "store/speedrun/behavior/v1/play.json", "store/speedrun/dynamics/v1"


def damaged(name: str, change):
    """A copy of the store of models, with a file of it changed."""

    def make(place: Place) -> None:
        place.write("a.yaml", "")
        file = place.store("models") / name
        file.write_bytes(change(file.read_bytes(), place.rng))

    return make


def header(data: bytes) -> tuple[dict, bytes]:
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(told: dict, body: bytes) -> bytes:
    text = json.dumps(told).encode()
    return struct.pack("<Q", len(text)) + text + body


def lying(data: bytes, rng) -> bytes:
    """A header that says something of one tensor which is not so."""
    told, body = header(data)
    name = rng.choice([name for name in told if name != "__metadata__"])
    one = told[name]
    lie = rng.choice(["shape", "dtype", "end", "begin", "name", "gone"])
    if lie == "shape":
        one["shape"] = [*one["shape"], 7]
    elif lie == "dtype":
        one["dtype"] = "F64" if one["dtype"] != "F64" else "F16"
    elif lie == "end":
        one["data_offsets"][1] += 10**9
    elif lie == "begin":
        one["data_offsets"][0] += 1
    elif lie == "name":
        told["other"] = told.pop(name)
    else:
        told.pop(name)
    return with_header(told, body)


def not_finite(data: bytes, rng) -> bytes:
    """One weight of floats is NaN."""
    told, body = header(data)
    begin = next(one["data_offsets"][0] for name, one in told.items() if name != "__metadata__" and one["dtype"] == "F32")
    return with_header(told, body[:begin] + struct.pack("<f", float("nan")) + body[begin + 4 :])


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


def configured(**changes: object):
    def change(data: bytes, rng) -> bytes:
        told = json.loads(data)
        return json.dumps({**told, "config": {**told["config"], **changes}}).encode()

    return change


def renamed(data: bytes, rng) -> bytes:
    return json.dumps({**json.loads(data), "class": "Tokenizer"}).encode()


def without(name: str):
    def make(place: Place) -> None:
        place.write("a.yaml", "")
        (place.store("models") / name).unlink()

    return make


def told_by_manifest(stage: str, emulators: list[object]):
    """The manifest says this of how an action is played, where artifacts of an older emurl have no `play.json`."""

    def make(place: Place) -> None:
        place.write("a.yaml", "")
        file = place.store("models") / f"speedrun/{stage}/v1/manifest.json"
        settings = {"emulator": place.rng.choice(emulators)}
        file.write_text(json.dumps({**json.loads(file.read_text()), "settings": settings}))

    return make


def fewer_tokens(place: Place) -> None:
    """The policy of a tokenizer of other size."""
    from emurl.models.recurrent_policy import RecurrentPolicy

    place.write("a.yaml", "")
    RecurrentPolicy(12, "transformer", token_dim=8, dim=16, heads=2, width=16, hidden=16).save_pretrained(
        place.store("models") / BEHAVIOR
    )


def objects() -> bytes:
    """NumPy arrays that are read with a pickle."""
    into = io.BytesIO()
    np.savez(into, anything=np.array([{}, Runs()], dtype=object))
    return into.getvalue()


def cut(data: bytes, rng) -> bytes:
    return data[: rng.randrange(1, len(data))]


def nothing(data: bytes, rng) -> bytes:
    return b""


QUANTILES = {  # what is usual of a calibration by quantiles, which wants the known patches beside it
    **{f"{sign}_{kind}": 1.0 for sign in ("reconstruction", "surprise") for kind in ("mean", "std")},
    "frame_stride": 2,
    "quantiles": {name: [0.0, 1.0] for name in ("reconstruction", "surprise", "novelty", "frame", "combined")},
}

NAN, INF = float("nan"), float("inf")


def usual(wrong: dict[str, list[object]]):
    """One number of what is usual is another."""

    def make(place: Place) -> dict[str, str]:
        key = place.rng.choice(sorted(wrong))
        value = place.rng.choice(wrong[key])
        key = key.format(place.rng.choice(["reconstruction", "surprise"]))
        file = place.store("models") / "speedrun/dynamics/v1/ood.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
        return {"key": key}

    return make


def quantiles(**changes: list[float]):
    def make(place: Place) -> None:
        (place.store("models") / "speedrun/dynamics/v1/ood.json").write_text(
            json.dumps({**QUANTILES, "quantiles": {**QUANTILES["quantiles"], **changes}})
        )

    return make


def distance_of_the_manifest(place: Place) -> None:
    """What is usual is not there, and the manifest says a distance between two frames that is none."""
    folder = place.store("models") / "speedrun/dynamics/v1"
    (folder / "ood.json").unlink()
    file = folder / "manifest.json"
    stride = place.rng.choice([0, -3, INF, "two", 1.5, [2]])
    file.write_text(json.dumps({**json.loads(file.read_text()), "settings": {"frame_stride": stride}}))


KINDS = [
    bad("weights with a header that lies", PLAY, BEHAVIOR, make=damaged(WEIGHTS, lying), times=8),
    bad("weights that are cut", PLAY, BEHAVIOR, make=damaged(WEIGHTS, cut), times=3),
    bad("weights that are empty", PLAY, BEHAVIOR, make=damaged(WEIGHTS, nothing)),
    bad(
        "weights with a header of a terabyte",
        PLAY,
        BEHAVIOR,
        make=damaged(WEIGHTS, lambda data, rng: struct.pack("<Q", 1 << 40) + data[8:]),
    ),
    bad("weights that are not finite", PLAY, WEIGHTS, "not finite", make=damaged(WEIGHTS, not_finite)),
    bad("a pickle for weights", PLAY, BEHAVIOR, make=damaged(WEIGHTS, lambda data, rng: pickle.dumps(Runs()))),
    bad("weights of another architecture", PLAY, BEHAVIOR, "RecurrentPolicy", make=damaged(CONFIG, configured(hidden=32))),
    bad("a model of another class", PLAY, BEHAVIOR, "Tokenizer", make=damaged(CONFIG, renamed)),
    bad(
        "a model whose configuration is impossible", PLAY, BEHAVIOR, "RecurrentPolicy", make=damaged(CONFIG, configured(heads=0))
    ),
    bad("a model whose configuration is cut", PLAY, CONFIG, make=damaged(CONFIG, cut), times=2),
    bad("a model of a billion cells", PLAY, BEHAVIOR, make=damaged(CONFIG, configured(hidden=10**12))),
    bad("a model without weights", PLAY, BEHAVIOR, "model.safetensors", make=without(WEIGHTS)),
    bad("a model without its configuration", PLAY, BEHAVIOR, "config.json", make=without(CONFIG)),
    bad("a policy of another tokenizer", PLAY, "behavior@v1", "12 tokens", make=fewer_tokens),
    bad("rules of play that are no JSON", PLAY, "behavior@v1", "play.json", store="models", files={"a.yaml": "", RULES: "{"}),
    bad("rules of play that are a list", PLAY, "behavior@v1", "play.json", store="models", files={"a.yaml": "", RULES: "[]"}),
    bad(
        "rules of play with words for numbers",
        PLAY,
        "behavior@v1",
        "frame_skip",
        store="models",
        files={"a.yaml": "", RULES: '{"frame_skip": "many"}'},
    ),
    bad(
        "settings of an artifact with a word where a section is",
        PLAY,
        "behavior@v1",
        "settings.emulator",
        "expected an object",
        make=told_by_manifest("behavior", [5, None, "frame_skip", ["frame_skip"]]),
        times=4,
    ),
    bad(
        "settings of an artifact with words for numbers",
        PLAY,
        "behavior@v1",
        "settings.emulator",
        "frame_skip",
        make=told_by_manifest("behavior", [{"frame_skip": "many"}, {"frame_skip": {}}, {"frame_skip": 0}]),
        times=3,
    ),
    bad(
        "settings of a parent with a word where a section is",
        "run policy --config a.yaml --store store",
        "behavior@v1",
        "settings.emulator",
        make=told_by_manifest("behavior", [5]),
    ),
    bad("a table of videos that is cut", DETECT, "videos.parquet", make=damaged(f"{FRAMES}/videos.parquet", cut), times=3),
    bad(
        "a table of videos that is text",
        DETECT,
        "videos.parquet",
        make=damaged(f"{FRAMES}/videos.parquet", lambda data, rng: b"video_id,frames\n"),
    ),
    bad("a table of frames that is empty", DETECT, "frames.parquet", make=damaged(f"{FRAMES}/frames.parquet", nothing)),
    bad("footage without its tables", DETECT, "videos.parquet", make=without(f"{FRAMES}/videos.parquet")),
    bad("a screen that is no JSON", DETECT, "screen.json", make=damaged(f"{FRAMES}/screen.json", cut)),
    bad(
        "a screen of other sizes",
        DETECT,
        "screen.json",
        make=damaged(f"{FRAMES}/screen.json", lambda data, rng: b'{"shades": "four"}'),
    ),
    bad(
        "a shard that is cut",
        DETECT,
        "video2.bin",
        make=damaged(f"{FRAMES}/shards/video2.bin", lambda data, rng: data[: len(data) // 2]),
    ),
    bad("a shard that is not there", DETECT, "video2.bin", make=without(f"{FRAMES}/shards/video2.bin")),
    bad("what is usual that is no JSON", DETECT, "ood.json", make=damaged("speedrun/dynamics/v1/ood.json", cut), process=True),
    bad(
        "what is usual that says nothing",
        DETECT,
        "ood.json",
        make=damaged("speedrun/dynamics/v1/ood.json", lambda data, rng: b"{}"),
    ),
    bad(
        "what is usual with a number that is none",
        DETECT,
        "ood.json: {key} is ",
        "finite number",
        make=usual({"{}_mean": [NAN, INF, -INF, 10**400], "{}_std": [NAN, INF, -INF, -0.5], "fps": [NAN, INF, 0, -1, "x"]}),
        times=8,
    ),
    bad(
        "what is usual at a distance that is none",
        DETECT,
        "ood.json: {key} is ",
        "number of frames",
        make=usual({"frame_stride": [0, -2, 1.5, NAN, INF, True, "two", 10**30]}),
        times=4,
    ),
    bad("what is usual with quantiles that are not finite", DETECT, "ood.json", "frame", make=quantiles(frame=[0.0, NAN])),
    bad("what is usual with quantiles that fall", DETECT, "ood.json", "novelty", make=quantiles(novelty=[1.0, 0.0])),
    bad(
        "a negative weight of a sign", DETECT, "ood.json", "weight", make=usual({"weights": [{"novelty": -1}, {"novelty": NAN}]})
    ),
    bad("a threshold that is no score", DETECT, "ood.json", "threshold", make=usual({"threshold": [NAN, INF, -1, 2]}), times=2),
    bad("a calibration that is not there", f"{DETECT} --calibration none.json", "none.json", store="models"),
    bad(
        "objects for known patches",
        DETECT,
        "ood.npz",
        store="models",
        files={f"{DYNAMICS}/ood.json": json.dumps(QUANTILES), f"{DYNAMICS}/ood.npz": objects()},
    ),
    bad("a tokenizer for a dynamics model", "tools.ood_detector dynamics tokenizer --store store", "Tokenizer", store="models"),
    bad("a detector of a store that is not there", "tools.ood_detector --store nowhere", "nowhere", "tokenizer"),
    bad(
        "pictures of the wrong size",
        f"{DETECT} pictures",
        "pictures/0.png",
        "160×144",
        store="models",
        make=lambda place: picture(place, (200, 100)),
    ),
    bad("a picture that is none", f"{DETECT} pictures", "pictures/0.png", store="models", files={"pictures/0.png": "no picture"}),
    bad(
        "a picture that unfolds to gigabytes",
        f"{DETECT} pictures",
        "pictures/0.png",
        store="models",
        make=lambda place: huge(place),
    ),
    bad(
        "a chart that is no PNG",
        f"{DETECT} pictures --chart strip.jpg",
        "strip.jpg",
        ".png",
        store="models",
        files={"pictures/0.png": ""},
    ),
    bad("a crop of three numbers", f"{DETECT} run.mp4 --crop 1,2,3", "--crop 1,2,3", store="models", files={"run.mp4": "x"}),
    bad(
        "a crop that is not finite",
        f"{DETECT} run.mp4 --crop 0,0,nan,inf",
        "--crop 0,0,nan,inf",
        store="models",
        files={"run.mp4": "x"},
    ),
    *(
        bad(
            f"pictures a second: {fps}",
            f"{DETECT} pictures --fps {fps}",
            "--fps",
            "pictures a second",
            store="models",
            files={"pictures/0.png": ""},
        )
        for fps in ("inf", "nan", "0", "-7.5", "1e300", "1e-320")
    ),
    *(
        bad(
            f"pairs of footage: {pairs[:8]}",
            f"tools.ood_detector --store store --pairs {pairs}",
            "--pairs",
            "100000",
            store="models",
        )
        for pairs in ("1", "-5", "1000000000000", "9" * 400)
    ),
    bad("pictures a second of no folder", f"{DETECT} --fps 15", "--fps", "FOLDER", store="models"),
    bad("pictures a second of a video", f"{DETECT} run.mp4 --fps 15", "--fps", "FOLDER", store="models", files={"run.mp4": "x"}),
    bad("a crop of no video", f"{DETECT} --crop 0,0,160,144", "--crop", "VIDEO", store="models"),
    bad(
        "a crop of a folder",
        f"{DETECT} pictures --crop 0,0,160,144",
        "--crop",
        "VIDEO",
        store="models",
        files={"pictures/0.png": ""},
    ),
    bad("a threshold that nobody would read", f"{DETECT} --threshold 0.5", "--threshold", "--calibrate", store="models"),
    bad(
        "a manifest that says no distance",
        "tools.ood_detector --calibrate --store store",
        "frame_stride",
        "number of frames",
        make=distance_of_the_manifest,
        times=3,
    ),
    bad("an unknown option of a tool", "tools.ood_detector --threshhold 0.5", "--threshhold", "did you mean --threshold?"),
    bad("a validation of no steps", "tools.validate_training --config a.yaml --steps 0", "--steps", files={"a.yaml": ""}),
    bad("a validation of no samples", "tools.validate_training --config a.yaml --batch 0", "--batch", files={"a.yaml": ""}),
    bad("a validation of settings that are not there", "tools.validate_training --config none.yaml", "none.yaml"),
    bad(
        "an evaluation of no policy",
        "tools.evaluate_policy --policy tokenizer --config a.yaml --store store",
        "tokenizer@v1",
        "policy or behavior",
        files={"a.yaml": ""},
        store="models",
    ),
    bad(
        "an evaluation of less than one episode",
        "tools.evaluate_policy --episodes 0 --config a.yaml --store store",
        "episodes",
        files={"a.yaml": ""},
        store="models",
    ),
]


def picture(place: Place, size: tuple[int, int]) -> None:
    from PIL import Image

    (place.folder / "pictures").mkdir()
    Image.new("L", size).save(place.folder / "pictures/0.png")


def huge(place: Place) -> None:
    """A PNG whose header says 60,000 × 60,000."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    place.write(
        "pictures/0.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    )
