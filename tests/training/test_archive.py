"""The archive: what is kept, what makes room, what is begun from, and that a checkpoint brings all of it back."""

from __future__ import annotations

import numpy as np

from emurl.training.archive import StateArchive


def filled(states: dict[bytes, tuple[bytes, float]], capacity: int = 100) -> StateArchive:
    archive = StateArchive(capacity, save_every=1)
    for name, (state, progress) in states.items():
        archive.earn(1)
        archive.add(name, state, progress)
    return archive


def key(number: int) -> bytes:
    return StateArchive.key(np.full((9, 10), number))


def test_keys_follow_the_picture_and_not_the_type() -> None:
    assert key(3) == StateArchive.key(np.full((9, 10), 3, np.int64)) != key(4)
    assert len(key(3)) == 16


def test_saves_are_earned_by_steps_and_not_hoarded() -> None:
    archive = StateArchive(save_every=64)
    assert not archive.wants(key(1))
    archive.earn(63)
    assert not archive.wants(key(1))
    archive.earn(1)
    assert archive.wants(key(1))
    archive.add(key(1), b"state", 0.0)
    assert not archive.wants(key(2))  # spent
    archive.earn(64)
    assert archive.wants(key(2)) and not archive.wants(key(1))  # known
    archive.earn(1_000_000)
    saved = 0
    while archive.wants(key(10 + saved)):
        archive.add(key(10 + saved), b"s", 0.0)
        saved += 1
    assert saved == 4


def test_an_empty_archive_has_nothing_to_begin_from() -> None:
    assert StateArchive().choose(np.random.default_rng(0)) is None


def test_what_was_kept_comes_back_whole() -> None:
    state = np.random.default_rng(0).bytes(5000) + bytes(50_000)
    archive = filled({key(1): (state, 1.0)})
    chosen = archive.choose(np.random.default_rng(0))
    assert chosen is not None and chosen.state() == state and chosen.carry == {}
    assert len(archive.entries[key(1)].packed) < len(state) / 5


def test_far_states_are_begun_from_more_often_and_all_in_the_end() -> None:
    archive = filled({key(i): (bytes([i]), float(i)) for i in range(6)})
    rng = np.random.default_rng(0)
    counts = np.zeros(6)
    for _ in range(600):
        entry = archive.choose(rng)
        assert entry is not None
        counts[entry.state()[0]] += 1
    assert counts[5] > 1.5 * counts[0] and counts.min() > 20
    assert sum(entry.chosen for entry in archive.entries.values()) == 600


def test_a_full_archive_gives_up_the_worn_and_the_near() -> None:
    archive = filled({key(0): (b"0", 0.0), key(1): (b"1", 5.0)}, capacity=2)
    archive.add(key(2), b"2", 9.0)
    assert list(archive.entries) == [key(1), key(2)]
    archive.entries[key(2)].chosen = 100
    archive.add(key(3), b"3", 1.0)
    assert list(archive.entries) == [key(1), key(3)]


def test_rescoring_reaches_only_what_is_kept() -> None:
    archive = filled({key(0): (b"0", 0.0)})
    archive.rescore(key(0), 7.0)
    archive.rescore(key(1), 8.0)
    assert [entry.progress for entry in archive.entries.values()] == [7.0]


def test_a_checkpoint_brings_it_all_back() -> None:
    archive = filled({key(i): (bytes([i]) * (10 + i), 0.1 * i) for i in range(5)})
    rng = np.random.default_rng(3)
    archive.choose(rng)
    archive.earn(1)
    for other in (StateArchive(save_every=1), filled({key(99): (b"old", 1.0)})):
        other.restore(archive.tensors())
        assert other.entries == archive.entries and list(other.entries) == list(archive.entries)
        assert other.wants(key(7)) == archive.wants(key(7))
        assert other.choose(np.random.default_rng(4)) == archive.choose(np.random.default_rng(4))
    empty = filled({key(1): (b"1", 1.0)})
    empty.restore(StateArchive().tensors())
    assert len(empty) == 0
