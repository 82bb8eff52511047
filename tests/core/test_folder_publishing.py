"""Publishing to a folder whose stages lie on more than one disk."""

import errno
import os
from pathlib import Path

import pytest

from emurl.core.errors import WorkError
from emurl.core.store import Store
from tests.fixtures.store import facts, keys, put, write

F = "f" * 64


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store whose pipelines' folders are on another disk than its work."""
    rename = Path.rename

    def between_disks(path, target):
        if (".work" in path.parts) != (".work" in Path(target).parts):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", between_disks)
    return Store(tmp_path / "store")


def test_versions_are_published_and_removed_across_disks(store):
    first, second = put(store, "reward", "one", files=2), put(store, "reward", "two")
    assert (first.ref, second.ref) == ("reward@v1", "reward@v2") and store.verify() == []
    assert first.path("file1.txt").read_text() == "one"
    assert store.gc(keep=1) == ["reward@v1"]
    assert keys(str(store.root)) == [f"speedrun/reward/v2/{name}" for name in ("deep/file.txt", "manifest.json")]


@pytest.mark.parametrize("by", ["sweep", "the same work"])
def test_a_copy_of_a_killed_process_is_put_away(store, by):
    copy = store.root / "speedrun" / "reward" / f".made-{F[:16]}-token"
    copy.mkdir(parents=True)
    (copy / "half.txt").write_text("half")
    (copy.parent / ".trash-x").mkdir()
    if by == "sweep":
        assert store.sweep() == [f"speedrun/reward/{copy.name}: half-made files"]
        assert list(copy.parent.iterdir()) == []
    else:
        with store.making("speedrun", "reward", F):
            assert not copy.exists()


def test_who_was_taken_over_while_copying_publishes_nothing(store, monkeypatch):
    with pytest.raises(WorkError, match="took it over"), store.making("speedrun", "reward", F) as output:
        write(output, "x")
        confirm, asked = output.lease.confirm, []

        def taken_over_after_the_copy():
            asked.append(1)
            if len(asked) == 2:
                output.mark.unlink()
            return confirm()

        monkeypatch.setattr(output.lease, "confirm", taken_over_after_the_copy)
        store.publish(output, facts("speedrun", "reward", F))
    assert store.all() == [] and os.listdir(store.root / "speedrun" / "reward") == []  # noqa: PTH208


def test_a_disk_that_refuses_is_one_line(tmp_path, monkeypatch):
    def refuse(path, target):
        raise OSError(errno.EIO, "Input/output error")

    store = Store(tmp_path)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(WorkError, match="the disk does not answer"):
        put(store, "reward", "x")
