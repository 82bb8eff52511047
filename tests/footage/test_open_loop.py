"""The fastest run as a list of buttons, by hand."""

from pathlib import Path

import numpy as np
import pandas as pd

from emurl.footage.dataset import BLANK, NOT_GAME, FrameReader, ShardWriter, write_index
from emurl.footage.open_loop import OpenLoop, open_loop
from emurl.screen import ScreenSpec


def reader(folder: Path, videos: dict[str, tuple[str, list[int]]]) -> FrameReader:
    """Videos by id: the run's id, and the flags of their frames."""
    rows = []
    for name, (run, flags) in videos.items():
        with ShardWriter(folder / "shards" / f"{name}.bin", ScreenSpec()) as shard:
            shard.add(np.zeros((len(flags), 144, 160), np.uint8))
        facts = {"video_id": name, "run_id": run, "split": "train", "frames": len(flags), "fps": 7.5}
        rows.append(facts | {"duration_s": len(flags) / 7.5})
    write_index(folder, ScreenSpec(), rows, [np.array(flags, np.uint8) for _, flags in videos.values()])
    return FrameReader(folder)


def test_the_fastest_run_is_read_one_action_a_stride(tmp_path: Path) -> None:
    footage = reader(tmp_path, {
        "slow": ("a", [0] * 12),
        "fast": ("b", [NOT_GAME, BLANK, *[0] * 7, NOT_GAME, NOT_GAME, NOT_GAME]),
        "one": ("c", [0] * 6),
        "two": ("c", [0] * 6),
        "nothing": ("d", [NOT_GAME] * 4),
    })  # fmt: skip
    labels = pd.DataFrame(
        [(1, 2, 6), (1, 3, 5), (1, 6, 0), (1, 7, 4), (0, 2, 3), (1, 9, 1)], columns=["video", "frame", "action"]
    )
    found = open_loop(labels, footage, 2)
    assert found is not None and found.run == "b" and found.videos == ["fast"]
    assert found.actions == [6, -1, 0, -1]  # of frames 2, 4, 6, 8
    assert found.footage_steps == {"a": 6, "b": 4, "c": 6} and found.footage_median_steps == 6.0
    found.write(tmp_path / "replay.json")
    assert OpenLoop.read(tmp_path / "replay.json") == found


def test_a_run_of_two_videos_is_one_list(tmp_path: Path) -> None:
    footage = reader(tmp_path, {"one": ("c", [0] * 4), "two": ("c", [0] * 3)})
    labels = pd.DataFrame([(0, 2, 7), (1, 0, 3)], columns=["video", "frame", "action"])
    found = open_loop(labels, footage, 2)
    assert found is not None and found.actions == [-1, 7, 3, -1]


def test_footage_without_a_usable_frame_has_none(tmp_path: Path) -> None:
    assert (
        open_loop(pd.DataFrame(columns=["video", "frame", "action"]), reader(tmp_path, {"x": ("a", [NOT_GAME] * 3)}), 2) is None
    )
