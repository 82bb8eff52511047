"""The journal of a sweep: entries of any number of writers, in one order for all, on every kind of store."""

import json
import threading

import pytest
from optuna.storages.journal._base import BaseJournalSnapshot

from emurl.core.errors import InputError
from emurl.core.journal import Journal

KEY = ".sweeps/a-b-c/journal"


def entries(journal: Journal) -> list[int]:
    return [one["n"] for one in journal.read_logs(0)]


def test_two_that_take_turns_read_the_same(store):
    one, other = Journal(store.objects, KEY), Journal(store.objects, KEY)
    assert entries(one) == []
    one.append_logs([{"n": 0}, {"n": 1}])
    other.append_logs([{"n": 2}])
    one.append_logs([{"n": 3}])
    assert entries(one) == entries(other) == entries(Journal(store.objects, KEY)) == [0, 1, 2, 3]
    assert [entry["n"] for entry in other.read_logs(2)] == [2, 3]
    files = store.objects.read_many([f"{KEY}/{number:08d}.json" for number in (1, 2, 3)])
    log = b"".join(files.values()).decode()
    assert [json.loads(line)["n"] for line in log.splitlines()] == [0, 1, 2, 3]


def test_many_at_once_lose_nothing(near):
    def write(writer: int) -> None:
        journal = Journal(near.objects, KEY)
        for number in range(20):
            journal.append_logs([{"n": writer * 100 + number}, {"n": writer * 100 + number}])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = entries(Journal(near.objects, KEY))
    assert len(found) == 160 and found[::2] == found[1::2]
    for writer in range(4):
        assert [one for one in found[::2] if one // 100 == writer] == [writer * 100 + number for number in range(20)]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda objects: objects.put(f"{KEY}/00000002.json", b'{"n": '), "entry 2 is damaged"),
        (lambda objects: objects.put(f"{KEY}/00000002.json", b"[1]\n"), "entry 2 is damaged"),
        (lambda objects: objects.put(f"{KEY}/00000002.json", b"\xff\xfe"), "entry 2 is damaged"),
        (lambda objects: objects.put(f"{KEY}/00000002.json", b""), "entry 2 is damaged"),
        (lambda objects: objects.delete([f"{KEY}/00000002.json"]), "has 00000003.json where entry 2 should be, expected no gap"),
        (lambda objects: objects.put(f"{KEY}/7.json", b"{}"), "has 7.json where entry 4 should be"),
    ],
)
def test_a_damaged_one_is_one_line(near, harm, said, monkeypatch):
    monkeypatch.setattr("emurl.core.journal.FILLING_S", 0.1)
    journal = Journal(near.objects, KEY)
    for number in range(3):
        journal.append_logs([{"n": number}])
    harm(near.objects)
    with pytest.raises(InputError, match=said):
        Journal(near.objects, KEY).read_logs(0)


def test_it_keeps_no_snapshots_which_are_pickles(near):
    assert not isinstance(Journal(near.objects, KEY), BaseJournalSnapshot)
