"""Videos and ROMs that are none, or not what they seem."""

import gzip
import io
import zipfile
from functools import cache
from pathlib import Path

from tests.bad_input.kinds import WORK, Place, bad
from tests.fixtures.drawn_videos import make, make_sound, make_video
from tests.fixtures.rom import rom_bytes

LOOK = "tools.ood_detector --store store --pairs 4 run.mp4"
CROPS = "tools.analyze_video_crops run.mp4"
QUIET = "--set tracking.wandb=false --set tracking.tensorboard=false"
FOLDER = f"run runs --config a.yaml --store store --set runs.source=folder --set runs.path=videos {QUIET}"
BEGAN = ("runs: ", "  ")  # what a run says before, and how far it got
PLAY = "play --random --steps 2 --config a.yaml --set emulator.rom=game.gb"


@cache
def video(seconds: float = 1.0) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return make_video(Path(folder, "run.mp4"), seconds)


def cut(place: Place) -> None:
    """The header that says where pictures are, and not one picture."""
    data = video()
    place.write("run.mp4", data[: data.index(b"mdat") + 4])


def sound(place: Place) -> None:
    make_sound(place.folder / "run.mp4")


def no_pictures(place: Place) -> None:
    make(place.folder / "run.mp4", "-f", "lavfi", "-i", "color=size=320x180:duration=1", "-frames:v", "0", "-c:v", "libx264")


def plain(place: Place) -> None:
    """A video without any screen in it."""
    make(
        place.folder / "run.mp4",
        "-f",
        "lavfi",
        "-i",
        "color=size=320x180:rate=5:duration=2",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    )


def rom(change):
    def make_rom(place: Place) -> None:
        place.write("a.yaml", "")
        place.write("game.gb", change(bytearray(rom_bytes()), place.rng))

    return make_rom


def zipped(data: bytearray, rng) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr("game.gb", bytes(data))
    return into.getvalue()


def rotted(data: bytearray, rng) -> bytes:
    """A byte of the header is another than the header's checksum says."""
    data[rng.randrange(0x134, 0x14D)] ^= 1 << rng.randrange(8)
    return bytes(data)


def unknown_cartridge(data: bytearray, rng) -> bytes:
    """A kind of cartridge that no console knows, with a checksum that is right."""
    data[0x147] = 0xEE
    data[0x14D] = -sum(byte + 1 for byte in data[0x134:0x14D]) & 0xFF
    return bytes(data)


def another_rom(place: Place) -> None:
    """A policy that says which ROM it was trained on, and the settings have another."""
    place.write("a.yaml", "")
    place.store("models")
    place.write("game.gb", rom_bytes("OTHER"))
    place.write("store/speedrun/behavior/v1/play.json", '{"frame_skip": 30, "press_ticks": 8, "rom_sha256": "%s"}' % ("0" * 64))


KINDS = [
    bad("a video that is not there", LOOK, "run.mp4", "no such file", store="models"),
    bad("a video that is empty", LOOK, "run.mp4", "empty", store="models", files={"run.mp4": ""}),
    bad("a video that is text", CROPS, "run.mp4", "expected a video", files={"run.mp4": "no video\n"}, process=True),
    bad("a video that is a ROM", CROPS, "run.mp4", "expected a video", files={"run.mp4": rom_bytes()}),
    bad(
        "a video that is a playlist of other files",
        CROPS,
        "run.mp4",
        files={"run.mp4": "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"},
    ),
    bad("a video that is cut", CROPS, "run.mp4", "expected a video", make=cut),
    bad("a video of sound alone", LOOK, "run.mp4", "audio", store="models", make=sound),
    bad("a video of no pictures", CROPS, "run.mp4", make=no_pictures),
    bad("a video without a screen", LOOK, "run.mp4", "--crop", store="models", make=plain),
    bad("a folder for a video", CROPS, "run.mp4", files={"run.mp4/x": ""}),
    bad("a crop outside the video", f"{LOOK} --crop 300,100,160,144", "300,100,160,144", "320×180", store="models", make=plain),
    bad("a crop of nothing", f"{LOOK} --crop 0,0,0,0", "--crop 0,0,0,0", store="models", make=plain),
    bad("a contact sheet that is no PNG", f"{CROPS} --sheet sheet.tiff2", "sheet.tiff2", ".png", make=plain),
    bad("a contact sheet in a folder that is not there", f"{CROPS} --sheet no/sheet.png", "no/sheet.png", make=plain),
    bad("a folder of videos that is not there", FOLDER, "videos", "no such folder", files={"a.yaml": ""}),
    bad("a folder without a video", FOLDER, "videos", "none of them a video", files={"a.yaml": "", "videos/readme.txt": "x"}),
    bad(
        "a folder of videos that are none",
        FOLDER,
        "videos",
        "none can be had",
        files={"a.yaml": "", "videos/run.mp4": "x"},
        progress=BEGAN,
        kept=WORK,
    ),
    bad("a file for a folder of videos", FOLDER, "videos", "is a file", files={"a.yaml": "", "videos": "x"}),
    bad("a ROM that is not there", PLAY, "game.gb", "no such file", files={"a.yaml": ""}, process=True),
    bad("a folder for a ROM", PLAY, "game.gb", files={"a.yaml": "", "game.gb/x": ""}),
    bad("a ROM that is empty", PLAY, "game.gb", "0 bytes", make=rom(lambda data, rng: b"")),
    bad("a ROM that is too short", PLAY, "game.gb", "16384", make=rom(lambda data, rng: bytes(data[:0x4000]))),
    bad(
        "a ROM that is cut",
        PLAY,
        "game.gb",
        "bytes",
        make=rom(lambda data, rng: bytes(data[: rng.randrange(1, 0x7FFF)])),
        times=3,
    ),
    bad("a ROM with a header that rotted", PLAY, "game.gb", "checksum", make=rom(rotted), times=4),
    bad("a ROM of an unknown cartridge", PLAY, "game.gb", "refuses", make=rom(unknown_cartridge)),
    bad("a ROM in a zip", PLAY, "game.gb", "zip", make=rom(zipped)),
    bad("a ROM in gzip", PLAY, "game.gb", "gzip", make=rom(lambda data, rng: gzip.compress(bytes(data)))),
    bad("a ROM that is a picture", PLAY, "game.gb", make=rom(lambda data, rng: b"\x89PNG\r\n\x1a\n" + bytes(0x8000 - 8))),
    bad(
        "a bot for a game without one",
        "play --bot --config a.yaml --set emulator.rom=game.gb",
        "game.gb",
        "no bot",
        make=rom(lambda data, rng: bytes(data)),
    ),
    bad(
        "a policy of another ROM",
        "play behavior --video run.mp4 --config a.yaml --store store --set emulator.rom=game.gb",
        "game.gb",
        "behavior@v1",
        make=another_rom,
    ),
    bad(
        "a ROM that is not there, asked of the doctor",
        "doctor --config a.yaml --store store --set emulator.rom=game.gb",
        "game.gb: no such file",
        code=1,
        stdout=True,
        files={"a.yaml": "broadcast: {}\nruns: {api_base: 'http://127.0.0.1:8571/api/v1'}\n"},
    ),
]
