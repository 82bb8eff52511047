"""Shards and tables: what is written is what is read, and samplers keep their promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emurl.core.errors import InputError
from emurl.footage.dataset import BLANK, DUPLICATE, NOT_GAME, FrameReader, ShardWriter, decode, encode, split_of, write_index
from emurl.screen import ScreenSpec

ROOT = Path(__file__).resolve().parents[2]
SPEC = ScreenSpec()
FPS = 7.5


def frame_of(video: int, index: int) -> np.ndarray:
    """A frame that says in its pixels which one it is."""
    frame = np.zeros((144, 160), np.uint8)
    for place, number in enumerate((video, index)):
        digits = number // 4 ** np.arange(12) % 4
        frame[place, :12] = digits
    return frame


def name_of(frame: np.ndarray) -> tuple[int, int]:
    video, index = (int((frame[place, :12].astype(int) * 4 ** np.arange(12)).sum()) for place in (0, 1))
    return video, index


def write(folder: Path, flags: list[list[int]], splits: list[str] | None = None) -> FrameReader:
    rows = []
    for video, marks in enumerate(flags):
        with ShardWriter(folder / "shards" / f"v{video}.bin", SPEC) as shard:
            if marks:
                shard.add(np.stack([frame_of(video, index) for index in range(len(marks))]))
        split = splits[video] if splits else "train"
        rows.append(
            {
                "video_id": f"v{video}",
                "run_id": f"r{video}",
                "split": split,
                "frames": len(marks),
                "fps": FPS,
                "duration_s": len(marks) / FPS,
            }
        )
    write_index(folder, SPEC, rows, [np.array(marks, np.uint8) for marks in flags])
    return FrameReader(folder)


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.just(144), st.just(160)), elements=st.integers(0, 3), fill=st.just(2))
)
def test_frames_come_back_as_they_were(frames: np.ndarray):
    data = encode(frames, SPEC)
    assert data.shape == (len(frames), 5760) and np.array_equal(decode(data, SPEC), frames)


@pytest.mark.parametrize("spec", [ScreenSpec(shades=256), ScreenSpec(channels=3, shades=256), ScreenSpec(channels=3)])
def test_other_screens_come_back_too(spec: ScreenSpec):
    frames = np.random.default_rng(0).integers(0, spec.shades, (3, *spec.shape)).astype(np.uint8)
    data = encode(frames, spec)
    assert data.shape == (3, spec.frame_bytes) and np.array_equal(decode(data, spec), frames)


def test_frames_of_another_shape_are_refused():
    with pytest.raises(InputError, match="expected \\(144, 160\\) uint8"):
        encode(np.zeros((2, 160, 144), np.uint8), SPEC)
    with pytest.raises(InputError, match="values up to 4, expected brightness ranks 0 … 3"):
        encode(np.full((1, 144, 160), 4, np.uint8), SPEC)


marks = st.lists(st.sampled_from([0, 0, 0, BLANK, DUPLICATE, NOT_GAME]), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(st.lists(marks, min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 4), st.integers(0, 9))
def test_samplers_give_usable_frames_of_one_video_at_the_right_distance(
    tmp_path_factory: pytest.TempPathFactory, flags: list[list[int]], gap: int, length: int, seed: int
):
    reader = write(tmp_path_factory.mktemp("frames"), flags)
    good = {(v, i) for v, marked in enumerate(flags) for i, flag in enumerate(marked) if flag in (0, DUPLICATE)}
    rng = np.random.default_rng(seed)
    if not good:
        with pytest.raises(InputError, match="no 1 usable"):
            reader.batch(rng, 1, "train")
        return
    assert {name_of(frame) for frame in reader.batch(rng, 400, "train")} <= good
    runs = {(v, i) for v, i in good if all((v, i + gap * step) in good for step in range(length))}
    if runs:
        clips = reader.clips(rng, 300, "train", length, gap)
        assert clips.shape == (300, length, 144, 160)
        starts = set()
        for clip in clips:
            names = [name_of(frame) for frame in clip]
            assert names == [(names[0][0], names[0][1] + gap * step) for step in range(length)] and set(names) <= good
            starts.add(names[0])
        assert starts <= runs and (len(runs) > 20 or starts == runs)
    else:
        with pytest.raises(InputError, match=f"no {length} usable frames {gap} apart"):
            reader.clips(rng, 3, "train", length, gap)
    if any(sum(v == video for v, _ in good) > 1 for video in range(len(flags))):
        earlier, later, seconds = reader.ordered_pairs(rng, 200, "train", max_distance=5)
        for a, b, between in zip(earlier, later, seconds, strict=True):
            (va, ia), (vb, ib) = name_of(a), name_of(b)
            assert va == vb and ia < ib and {(va, ia), (vb, ib)} <= good and between == pytest.approx((ib - ia) / FPS)
            near = {i for v, i in good if v == va and 0 < abs(i - ia) <= 5} | {
                i for v, i in good if v == va and 0 < abs(i - ib) <= 5
            }
            assert (
                ib - ia <= 5 or not near or not {i for i in near if abs(i - ia) <= 5} or not {i for i in near if abs(i - ib) <= 5}
            )


def test_every_usable_frame_is_drawn_equally_often(tmp_path: Path):
    reader = write(tmp_path, [[0] * 10, [0, BLANK] * 15], ["train", "train"])
    names = [name_of(frame) for frame in reader.batch(np.random.default_rng(0), 5000, "train")]
    counts = np.array([names.count(name) for name in sorted(set(names))])
    assert len(counts) == 25 and counts.min() > 150 and counts.max() < 260


def test_the_same_generator_draws_the_same_frames(tmp_path: Path):
    reader = write(tmp_path, [[0] * 30, [0] * 30], ["train", "val"])
    one, two = (reader.clips(np.random.default_rng(5), 8, "val", 2, 3) for _ in range(2))
    assert np.array_equal(one, two) and {name_of(frame)[0] for frame in one[:, 0]} == {1}
    assert reader.split("train") == [0] and reader.split("val") == [1] and reader.split("all") == [0, 1]
    first, later = reader.pairs(np.random.default_rng(5), 4, "train", 7)
    assert [name_of(b)[1] - name_of(a)[1] for a, b in zip(first, later, strict=True)] == [7] * 4


def test_reading_by_index(tmp_path: Path):
    reader = write(tmp_path, [[0] * 5, [0, BLANK, 0, NOT_GAME, DUPLICATE]])
    assert [name_of(frame) for frame in reader.read(1, [4, 0, 1])] == [(1, 4), (1, 0), (1, 1)]
    assert reader.usable(1).tolist() == [0, 2, 4] and reader.flags(1).tolist() == [0, BLANK, 0, NOT_GAME, DUPLICATE]
    assert [(v.id, v.count, v.offset) for v in reader.videos] == [("v0", 5, 0), ("v1", 5, 5)]


def test_what_is_no_frames_artifact_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="no frames artifact"):
        FrameReader(tmp_path)
    for name, text in (("screen.json", "[]"), ("screen.json", "{}"), ("videos.parquet", "no table")):
        folder = tmp_path / name / str(len(text))
        write(folder, [[0] * 5])
        (folder / name).write_text(text)
        with pytest.raises(InputError, match="no frames artifact") as failure:
            FrameReader(folder)
        assert str(folder) in str(failure.value) and "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda shard: shard.write_bytes(shard.read_bytes()[:-1]), r"v1\.bin: 28799 bytes, expected 28800 \(5 frames\)"),
        (lambda shard: shard.write_bytes(shard.read_bytes() + b"0"), r"v1\.bin: 28801 bytes, expected 28800 \(5 frames\)"),
        (lambda shard: shard.write_bytes(b""), r"v1\.bin: 0 bytes, expected 28800 \(5 frames\)"),
        (lambda shard: shard.unlink(), r"v1\.bin: No such file or directory, expected 28800 bytes \(5 frames\)"),
    ],
    ids=["cut short", "too long", "empty", "missing"],
)
def test_a_shard_that_is_not_whole_is_named(spoil: Callable[[Path], object], what: str, tmp_path: Path):
    reader = write(tmp_path, [[0] * 3, [0] * 5])
    spoil(tmp_path / "shards" / "v1.bin")
    with pytest.raises(InputError, match=what) as failure:
        FrameReader(tmp_path)
    assert "run the frames stage again" in str(failure.value) and "\n" not in str(failure.value)
    # Opened before, and first looked at now: an error, where a map of the lost part would end the process.
    with pytest.raises(InputError, match=what):
        reader.read(1, [4])


def test_tables_that_disagree_are_no_artifact(tmp_path: Path):
    write(tmp_path, [[0] * 3, [0] * 5])
    table = pd.read_parquet(tmp_path / "frames.parquet")
    for changed in (table[:-1], table.iloc[::-1], table.assign(video=0)):
        changed.to_parquet(tmp_path / "frames.parquet", index=False)
        with pytest.raises(InputError, match=r"frames\.parquet: it does not hold the frames that videos\.parquet counts"):
            FrameReader(tmp_path)


def test_more_videos_than_files_a_process_may_hold(tmp_path: Path):
    write(tmp_path, [[0] * 2] * 120)
    program = (
        "import resource, sys, numpy as np, torch\nfrom emurl.footage.dataset import FrameReader\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\nreader = FrameReader(sys.argv[1])\n"
        "print(reader.batch(np.random.default_rng(0), 4000, 'train')[:, 0, :4].astype(int).dot([1, 4, 16, 64]).max())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "119", done.stderr


def test_shards_stay_as_they_are(tmp_path: Path):
    reader = write(tmp_path, [[0] * 3])
    frames = reader.read(0, [0, 1])
    frames[:] = 3  # what was read is the caller's own
    assert [name_of(frame) for frame in reader.read(0, [0, 1])] == [(0, 0), (0, 1)]


def test_a_video_without_frames_is_never_drawn(tmp_path: Path):
    reader = write(tmp_path, [[], [0] * 3, []])
    assert {name_of(frame)[0] for frame in reader.batch(np.random.default_rng(0), 50, "train")} == {1}
    assert reader.read(0, []).shape == (0, 144, 160) and len(reader.usable(2)) == 0


def test_a_shard_half_written_is_not_there(tmp_path: Path):
    with pytest.raises(RuntimeError), ShardWriter(tmp_path / "v.bin", SPEC) as shard:
        shard.add(frame_of(0, 0)[None])
        raise RuntimeError
    assert not list(tmp_path.iterdir())


names = st.lists(st.text(alphabet="0123456789abcdef", min_size=4, max_size=16), min_size=2, max_size=30, unique=True)


@given(names, st.floats(0.05, 0.95))
def test_a_side_is_never_empty_nor_a_matter_of_order(ids: list[str], share: float):
    sides = split_of(ids, share)
    assert set(sides) == set(ids) and set(sides.values()) == {"train", "val"}
    assert sides == split_of(list(reversed(ids)), share)


@settings(deadline=None)
@given(st.lists(st.uuids().map(str), min_size=2, max_size=40, unique=True), st.floats(0.02, 0.98), st.randoms())
def test_a_video_keeps_its_side_when_a_leaderboard_grows_and_shrinks(ids: list[str], share: float, random: Random):
    for _ in range(4):
        others = random.sample(ids, random.randint(1, len(ids)))
        few, many = split_of(others, share), split_of(ids, share)
        moved = [video for video in others if few[video] != many[video]]
        # By its own hash alone every video has the side that it has in any company …
        own = {video: split_of([video], share)[video] for video in ids}
        if len({own[video] for video in others}) == 2:
            assert not moved and few == {video: own[video] for video in others}
        # … but for one that stands in on a side that would be empty. Where that is the held-out side, as in small collections, it
        # can only come to be trained on: never is a video held out that an earlier version learned from.
        elif len(others) > 1 and {own[video] for video in others} == {"train"}:
            assert len(moved) <= 1 and all(few[video] == "val" and many[video] == "train" for video in moved)


def test_a_leaderboard_that_grows_to_1500_videos_moves_none():
    ids = [f"video{number}" for number in range(1500)]
    first = split_of(ids[:10], 0.2)
    assert set(first.values()) == {"train", "val"}
    for count in range(20, 1501, 40):
        now = split_of(ids[:count], 0.2)
        assert all(now[video] == first[video] for video in first)
        first = now
    # The same on every machine and in every version: a changed hash would put what was learned from among what is judged on.
    assert [video for video in ids[:20] if first[video] == "val"] == ["video0", "video3", "video8", "video12", "video18"]
    assert 0.17 < sum(side == "val" for side in first.values()) / len(first) < 0.23
    assert split_of(["only"], 0.2)["only"] in ("train", "val")
