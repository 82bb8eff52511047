"""Leases, claims and scratch: who may, who has lost, and what another machine goes on from."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from emurl.core import claims, retention
from emurl.core import lease as leases
from emurl.core.backends import Folder, Remote
from emurl.core.errors import WorkError
from emurl.core.files import discard
from emurl.core.lease import Holder, Lease, hold_folder, hold_to_tidy, holder_of, me
from emurl.core.store import Store
from tests.fixtures.store import facts, keys, put, write

F = "f" * 64
KEY = ".leases/speedrun-reward-ffffffffffffffff"
WORK = ".work/speedrun-reward-ffffffffffffffff"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setenv("EMURL_LEASE_S", "0.4")


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return Store(tmp_path / "store" if request.param == "folder" else f"memory://{uuid.uuid4().hex}/store")


def hold(store: Store, holder: Holder, generation: int = 1) -> None:
    """Write down a holder as its own machine would."""
    assert store.objects.create(f"{KEY}/g{generation}.json", json.dumps(asdict(holder)).encode())


def far(**changes: object) -> Holder:
    return replace(me(), machine="elsewhere", host="elsewhere", **changes)


def test_a_dead_process_of_this_machine_is_followed_at_once(store):
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    gone = replace(me(), pid=process.pid, started=leases.process_start(process.pid), ttl=60.0)
    process.wait()
    hold(store, gone)
    began = time.monotonic()
    with store.making("speedrun", "reward", F) as output:
        assert output.lease.generation == 2 and time.monotonic() - began < 0.35
    assert not [key for key in keys(str(store.url)) if key.startswith(".leases")]


def test_a_number_used_again_is_another_process(store):
    hold(store, replace(me(), started="1", ttl=60.0))
    with store.making("speedrun", "reward", F) as output:
        assert output.lease.generation == 2


def test_a_silent_holder_elsewhere_is_watched_for_its_time_and_no_clock_is_asked(store, monkeypatch, caplog):
    monkeypatch.setattr(time, "time", lambda: 4e9 * (time.monotonic_ns() % 2))  # a clock that jumps by a century
    hold(store, far())
    began = time.monotonic()
    with store.making("speedrun", "reward", F) as output:
        assert output.lease.generation == 2
    assert 0.4 <= time.monotonic() - began < 3


def test_a_beating_holder_elsewhere_is_refused_with_its_name(store):
    holder = far(ttl=2.0, pid=12345)
    hold(store, holder)
    over = threading.Event()

    def beat() -> None:
        count = 0
        while not over.wait(0.05):
            count += 1
            store.objects.put(f"{KEY}/{holder.token}.beat", str(count).encode())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(WorkError, match="host elsewhere, process 12345"), store.making("speedrun", "reward", F):
            pass
        began = time.monotonic()
        with pytest.raises(WorkError, match="elsewhere"), store.making("speedrun", "reward", F, patient=False):
            pass
        assert time.monotonic() - began < 0.5
    finally:
        over.set()
        thread.join()


def test_of_many_that_take_over_one_succeeds(store):
    hold(store, far())
    taken, refused = [], []

    def take() -> None:
        try:
            taken.append(Lease.take(store.objects, KEY, "reward"))
        except WorkError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 5)
    taken[0].release()


def test_an_entry_that_was_never_filled_expires(tmp_path):
    store = Store(tmp_path)
    store.objects.put(f"{KEY}/g1.json", b"")  # killed between making and filling it
    with store.making("speedrun", "reward", F) as output:
        assert output.lease.generation == 2


def test_who_was_taken_over_notices_and_changes_nothing(store, monkeypatch):
    """A zombie: it sleeps, another one does the work, it wakes up and tries to publish."""
    with pytest.raises(WorkError, match="took it over"), store.making("speedrun", "reward", F) as output:
        write(output, "zombie")
        output.scratch.joinpath("checkpoint").write_text("zombie")
        output.lease._over.set()  # its thread sleeps, too
        hold(store, far(token="other"), generation=2)
        store.publish(output, facts("speedrun", "reward", F))
    assert store.all() == []
    assert holder_of(store.objects, KEY)[0] == 2


def test_a_zombie_whose_files_were_put_away_cannot_publish_a_part_of_them(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(WorkError, match="took it over"), store.making("speedrun", "reward", F) as output:
        write(output, "first half")
        discard(output.folder.parent, store.root / ".work")  # as the next holder does
        store.objects.delete([f"{KEY}/g1.json"])  # … who has finished since
        output.path("second.txt").write_text("second half")
    with pytest.raises(WorkError, match="took it over"), store.making("speedrun", "reward", F) as output:
        write(output, "first half")
        discard(output.folder.parent, store.root / ".work")
        (output.folder / "second.txt").write_text("second half")  # a stage that writes past `path`
    assert store.all() == [] and store.verify() == []


def test_the_lease_lives_while_the_store_is_away(store, monkeypatch):
    with store.making("speedrun", "reward", F) as output:
        put_ = store.objects.put

        def away(key, data):
            raise WorkError("away")

        monkeypatch.setattr(store.objects, "put", away)
        time.sleep(0.5)
        monkeypatch.setattr(store.objects, "put", put_)
        assert not output.lease.lost
        write(output, "x")
        assert store.publish(output, facts("speedrun", "reward", F)).ref == "reward@v1"


def test_a_lease_swept_while_the_store_was_away_is_taken_again(store):
    with store.making("speedrun", "reward", F) as output:
        store.objects.delete(f"{KEY}/{name}" for name in store.objects.names(KEY))
        write(output, "x")
        assert store.publish(output, facts("speedrun", "reward", F)).ref == "reward@v1"
    with pytest.raises(WorkError, match="took it over"), store.making("speedrun", "reward", "e" * 64) as output:
        write(output, "x")
        other = Store(store.url)
        key = ".leases/speedrun-reward-eeeeeeeeeeeeeeee"
        store.objects.delete(f"{key}/{name}" for name in store.objects.names(key))
        with other.making("speedrun", "reward", "e" * 64) as faster:  # … and another one was faster
            write(faster, "y")
            other.publish(faster, facts("speedrun", "reward", "e" * 64))
        if store.remote is not None:
            store.publish(output, facts("speedrun", "reward", "e" * 64))
        else:
            output.path("z")
    assert store.versions("speedrun", "reward") == [1, 2]


def test_work_that_was_published_while_one_waited_is_found(store):
    hold(store, far())

    def finish() -> None:
        time.sleep(0.15)
        put_elsewhere = Store(store.url)
        with put_elsewhere.making("speedrun", "reward", "d" * 64) as output:
            write(output, "done")
            put_elsewhere.publish(output, facts("speedrun", "reward", F))

    thread = threading.Thread(target=finish)
    thread.start()
    with store.making("speedrun", "reward", F) as output:
        assert output.found.ref == "reward@v1"
    thread.join()
    with store.making("speedrun", "reward", F, again=True) as output:
        assert output.found is None


def test_a_folder_is_held_by_one(tmp_path):
    with hold_folder(tmp_path / "cache", "videos") as mine, hold_folder(tmp_path / "cache", "videos") as other:
        assert (mine, other) == (True, False)
    with hold_folder(tmp_path / "cache", "videos") as mine:
        assert mine


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    store = Store(tmp_path / "store")
    assert [put(store, "frames", text).ref for text in "ab"] == ["frames@v1", "frames@v2"]
    with hold_folder(tmp_path / "cache", "videos") as mine, hold_folder(tmp_path / "cache", "videos") as other:
        assert (mine, other) == (True, False)


def test_no_module_of_the_store_locks():
    for file in Path(leases.__file__).parent.glob("*.py"):
        assert "fcntl" not in file.read_text() and "pickle.load" not in file.read_text()


# --- claims -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger():
    store = Store(f"memory://{uuid.uuid4().hex}/store")
    return store, claims.Claims(store.remote, "speedrun", "reward")


class Killed(BaseException):
    """As a SIGKILL: nothing is tidied after it."""


@pytest.mark.parametrize("moment", range(1, 13))
def test_a_publisher_that_dies_at_any_request_leaves_all_or_nothing(ledger, monkeypatch, moment):
    store, _ = ledger
    count = 0

    def counted(name):
        real = getattr(Remote, name)

        def call(self, *args):
            nonlocal count
            count += 1
            if count > moment:
                raise Killed
            return real(self, *args)

        return call

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed), store.making("speedrun", "reward", F) as output:
        write(output, "one", files=2)
        output.lease.holder = replace(output.lease.holder, pid=1, started="no such")
        store.remote.put(f"{KEY}/g1.json", json.dumps(asdict(output.lease.holder)).encode())
        output.lease._over.set()
        for name in ("create", "put", "delete", "put_file"):
            patch.setattr(Remote, name, counted(name))
        store.publish(output, facts("speedrun", "reward", F))
        raise Killed
    before = set(store.versions("speedrun", "reward"))
    store.sweep()
    after = store.versions("speedrun", "reward")
    assert before <= set(after) and after in ([], [1]) and store.verify() == []
    second = put(store, "reward", "two")
    assert second.version == 2 or after == []
    assert store.verify() == [] and store.sweep() == []
    listed = {f"speedrun/reward/v{one.version}/" for one in store.all()}
    assert [key for key in keys(store.url) if not key.endswith(".end") and key[: key.index("/", 17) + 1] not in listed] == []


def test_a_zombie_that_was_burned_removes_its_files_and_takes_a_new_number(ledger, monkeypatch):
    store, ledger_ = ledger
    upload = Remote.put_file

    def slow(self, key, path):
        if key.startswith("speedrun/reward/v1/"):
            ledger_._burn(1, "swept")  # while this one slept
        upload(self, key, path)

    monkeypatch.setattr(Remote, "put_file", slow)
    assert put(store, "reward", "x").ref == "reward@v2"  # it still holds its lease
    assert [key for key in keys(store.url) if "/v1" in key] == [".claims/speedrun/reward/v1.end"]
    store.remote.put("speedrun/reward/v1/late.txt", b"a request that was on its way")
    assert store.verify() != []
    assert store.sweep() == ["reward@v1: never published, its files removed"]
    assert store.verify() == [] and store.gc() == []  # the record is young
    assert ledger_.forget(0.0, dry_run=False) == [".claims/speedrun/reward/v1.end"]


def test_a_sweeper_that_was_asleep_takes_its_end_back(ledger):
    store, ledger_ = ledger
    put(store, "reward", "x")
    assert ledger_._burn(1, "too late")
    assert keys(store.url) == ["speedrun/reward/v1/deep/file.txt", "speedrun/reward/v1/manifest.json"]


def test_a_number_published_between_listing_and_claim_is_not_taken_again(ledger, monkeypatch):
    store, _ = ledger
    put(store, "reward", "one")
    versions = iter([[], [1]])
    monkeypatch.setattr(claims.Claims, "_versions", lambda self: next(versions))
    assert put(store, "reward", "two").ref == "reward@v2"
    assert store.get("reward@v1").path("deep/file.txt").read_text() == "one"


# --- scratch ----------------------------------------------------------------------------------------------------------


def test_another_machine_goes_on_from_the_newest_checkpoint(monkeypatch, tmp_path):
    url = f"memory://{uuid.uuid4().hex}/store"

    def at(host: str) -> Store:
        monkeypatch.setenv("EMURL_CACHE", str(tmp_path / host))
        return Store(url)

    for host, seen, step in [("one", None, "5"), ("two", "5", "7"), ("one", "7", "8"), ("two", "8", "9")]:
        with pytest.raises(RuntimeError), at(host).making("speedrun", "reward", F) as output:
            file = output.scratch / "deep" / "checkpoint"
            assert (file.read_text() if file.exists() else None) == seen
            file.parent.mkdir(exist_ok=True)
            for text in ("x", "y", step):
                file.write_text(text)
                output.scratch_saved(file)
            output.flush(5)
            raise RuntimeError
    assert len([key for key in keys(url) if key.startswith(f"{WORK}/scratch/deep/checkpoint/")]) == 1
    store = at("three")
    with store.making("speedrun", "reward", F) as output:
        assert (output.scratch / "deep" / "checkpoint").read_text() == "9"
        write(output, "x")
        store.publish(output, facts("speedrun", "reward", F))
    assert all(key.startswith("speedrun/") for key in keys(url))
    at("one").sweep()
    assert not (tmp_path / "one" / WORK).exists()


def test_a_local_checkpoint_newer_than_the_uploaded_one_stays(tmp_path):
    store = Store(f"memory://{uuid.uuid4().hex}/store")
    with pytest.raises(RuntimeError), store.making("speedrun", "reward", F) as output:
        (output.scratch / "c").write_text("1")
        output.scratch_saved(output.scratch / "c")
        output.flush(5)
        (output.scratch / "c").write_text("2")
        raise RuntimeError
    with store.making("speedrun", "reward", F) as output:
        assert (output.scratch / "c").read_text() == "2"


def test_an_upload_that_fails_is_warned_about_once_and_tried_again(monkeypatch):
    store = Store(f"memory://{uuid.uuid4().hex}/store")
    said = []
    monkeypatch.setattr("emurl.core.scratch.say", said.append)
    upload = Remote.put_file
    with pytest.raises(RuntimeError), store.making("speedrun", "reward", F) as output:

        def away(self, key, path):
            raise WorkError("store: away")

        monkeypatch.setattr(Remote, "put_file", away)
        for text in "123":
            (output.scratch / "c").write_text(text)
            output.scratch_saved(output.scratch / "c")
            output.flush(5)
        monkeypatch.setattr(Remote, "put_file", upload)
        (output.scratch / "c").write_text("4")
        output.scratch_saved(output.scratch / "c")
        output.flush(5)
        raise RuntimeError
    assert len(said) == 1 and "could not be uploaded" in said[0]
    assert [store.remote.read(key) for key in keys(store.url) if "/scratch/c/" in key] == [b"4"]


def test_a_slow_upload_never_holds_the_training_up(monkeypatch):
    store = Store(f"memory://{uuid.uuid4().hex}/store")
    upload, sent, trained = Remote.put_file, [], threading.Event()

    def slow(self, key, path):
        sent.append(path.read_bytes())
        trained.wait(30)
        upload(self, key, path)

    monkeypatch.setattr(Remote, "put_file", slow)
    with pytest.raises(RuntimeError), store.making("speedrun", "reward", F) as output:
        for number in range(50):
            (output.scratch / "part").write_text(str(number))
            os.replace(output.scratch / "part", output.scratch / "c")
            output.scratch_saved(output.scratch / "c")
        assert len(sent) <= 1
        trained.set()
        output.flush(5)
        raise RuntimeError
    assert len(sent) <= 2 and sent[-1] == b"49"  # the newest wins


def slow_store(monkeypatch) -> tuple[Store, list[str]]:
    """A bucket that takes 0.2 s for a file, and the names of those that it was sent."""
    upload, sent = Remote.put_file, []

    def slow(self, key, path):
        sent.append(key.split("/")[-2])
        time.sleep(0.2)
        upload(self, key, path)

    monkeypatch.setattr(Remote, "put_file", slow)
    return Store(f"memory://{uuid.uuid4().hex}/store"), sent


@pytest.mark.parametrize("ending", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_what_was_saved_last_is_uploaded_however_the_stage_ends(monkeypatch, ending):
    store, sent = slow_store(monkeypatch)
    with pytest.raises(ending), store.making("speedrun", "reward", F) as output:
        for name in "abc":
            (output.scratch / name).write_text(name)
            output.scratch_saved(output.scratch / name)
        raise ending
    assert sent == ["a", "b", "c"]


def test_a_file_that_is_new_once_is_uploaded_beside_one_that_is_new_all_the_time(monkeypatch):
    store, sent = slow_store(monkeypatch)
    with pytest.raises(RuntimeError), store.making("speedrun", "reward", F) as output:
        for name in ("often", "once"):
            (output.scratch / name).write_text("")
        output.scratch_saved(output.scratch / "often")
        deadline = time.monotonic() + 20
        while not sent and time.monotonic() < deadline:
            time.sleep(0.02)
        output.scratch_saved(output.scratch / "once")
        while len(sent) < 4 and time.monotonic() < deadline:
            output.scratch_saved(output.scratch / "often")
            time.sleep(0.02)
        raise RuntimeError
    assert "once" in sent[:3]


def test_a_file_that_is_gone_is_no_failure_and_what_failed_goes_with_the_next_file(monkeypatch):
    store = Store(f"memory://{uuid.uuid4().hex}/store")
    said, fails, upload = [], [], Remote.put_file
    monkeypatch.setattr("emurl.core.scratch.say", said.append)

    def first_away(self, key, path):
        if not fails:
            fails.append(key)
            raise WorkError("store: away")
        upload(self, key, path)

    monkeypatch.setattr(Remote, "put_file", first_away)
    with pytest.raises(RuntimeError), store.making("speedrun", "reward", F) as output:
        output.scratch_saved(output.scratch / "gone")
        output.flush(5)
        assert not said
        for name in ("once", "other"):
            (output.scratch / name).write_text(name)
            output.scratch_saved(output.scratch / name)
            output.flush(5)
        raise RuntimeError
    assert len(said) == 1
    assert sorted(store.remote.read(key) for key in keys(store.url) if "/scratch/" in key) == [b"once", b"other"]


def test_a_stage_killed_on_one_host_is_finished_by_another(tmp_path):
    """The whole way, with processes: SIGKILL after the checkpoint, then another host."""
    root = Path(__file__).parents[2]
    words = [sys.executable, "-m", "tests.fixtures.store_race", "work", str(tmp_path / "store")]
    env = {**os.environ, "RACE_PAUSE": "30"}
    first = subprocess.Popen(
        [*words, "oak", "1", "1"], env={**env, "EMURL_HOST": "oak"}, stdout=subprocess.PIPE, text=True, cwd=root
    )
    for line in first.stdout:
        if line.startswith("checkpoint"):
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    env["RACE_PAUSE"] = "0"
    subprocess.run(
        [*words, "pine", "1", "2"], env={**env, "EMURL_HOST": "pine"}, check=True, capture_output=True, cwd=root, timeout=60
    )
    text = Store(tmp_path / "store").get("stage0").path("part0.txt").read_text()
    assert "by pine" in text and "begun by oak" in text


def test_folder_objects_hold_what_they_promise(tmp_path):
    folder = Folder(tmp_path)
    assert folder.create("a/b", b"1") and not folder.create("a/b", b"2") and folder.read("a/b") == b"1"
    folder.put("a/b", b"3")
    assert folder.below("") == {"a/b": 1} and folder.names("") == ["a"] and folder.names("a/b") == []
    folder.delete(["a/b", "a/c", "x/y"])
    assert folder.names("") == [] and folder.read("a/b/c") is None


@pytest.mark.parametrize("links", [True, False])
def test_what_is_created_on_a_full_disk_leaves_nothing(tmp_path, monkeypatch, links):
    folder = Folder(tmp_path)
    write_bytes, open_file = Path.write_bytes, Path.open

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def without_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    if links:
        monkeypatch.setattr(Path, "write_bytes", lambda path, data: (write_bytes(path, b""), full()))
    else:
        monkeypatch.setattr(os, "link", without_links)
        assert folder.create("b", b"1") and not folder.create("b", b"2") and folder.read("b") == b"1"

        class Full:
            def __init__(self, file):
                self.file = file

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.file.close()

            write = full

        monkeypatch.setattr(Path, "open", lambda path, mode: Full(open_file(path, mode)))
    with pytest.raises(WorkError, match="the disk is full"):
        folder.create("a", b"1")
    monkeypatch.undo()
    assert folder.names("") == ([] if links else ["b"])


def test_a_lease_that_cannot_begin_to_beat_is_given_back(store, monkeypatch):
    """Or this process, which lives, would refuse itself the next time."""
    with monkeypatch.context() as patch:

        def full(*_):
            raise WorkError("the disk is full")

        patch.setattr(store.objects, "put", full)
        with pytest.raises(WorkError, match="full"):
            Lease.take(store.objects, KEY, "reward")
    Lease.take(store.objects, KEY, "reward").release()
    assert store.objects.below(".leases") == {}


def resumed_after_the_look(monkeypatch, store: Store, look: str) -> list:
    """A stage that goes on from its checkpoint begins right after gc (or a sweep) has seen that nobody is at it."""
    with pytest.raises(RuntimeError), store.making("speedrun", "reward", F) as output:
        (output.scratch / "checkpoint").write_text("ten hours")
        raise RuntimeError
    owner = retention if look == "is_held" else retention._Leases
    real, begun = getattr(owner, look), []

    def late(*words):
        answer = real(*words)
        if not begun and str(words[-1]).endswith(KEY):
            begun.append(store.making("speedrun", "reward", F))
            begun.append(begun[0].__enter__())
        return answer

    monkeypatch.setattr(owner, look, late)
    return begun


@pytest.mark.parametrize(("look", "tidy"), [("is_held", Store.gc), ("free", Store.sweep)])
def test_a_stage_that_begins_while_it_is_tidied_loses_nothing(store, monkeypatch, look, tidy):
    begun = resumed_after_the_look(monkeypatch, store, look)
    if tidy == Store.sweep:  # nothing but what is over is looked at: it is, this once
        over = SimpleNamespace(pipeline="speedrun", stage="reward", fingerprint=F)
        monkeypatch.setattr(retention, "_readable", lambda _: [over])
    assert tidy(Store(store.url)) == []
    making, output = begun
    assert (output.scratch / "checkpoint").read_text() == "ten hours"
    write(output, "x")
    assert store.publish(output, facts("speedrun", "reward", F)).ref == "reward@v1"
    making.__exit__(None, None, None)


def test_who_begins_while_a_work_is_tidied_waits_for_that_moment(store, monkeypatch):
    monkeypatch.setenv("EMURL_LEASE_S", "5")
    with hold_to_tidy(store.objects, KEY) as ours:
        assert ours
        with hold_to_tidy(store.objects, KEY) as again:
            assert not again
        taken: list[Lease] = []
        thread = threading.Thread(target=lambda: taken.append(Lease.take(store.objects, KEY, "reward")))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(4.0)
    taken[0].release()
    assert store.objects.below(".leases") == {}


def test_gc_keeps_what_a_running_stage_reads_and_its_ancestors(store):
    runs = put(store, "runs", "r")
    frames = put(store, "frames", "f", {"runs": runs})
    with store.making("speedrun", "reward", F, reads=[frames.ref]) as output:
        for text in "abc":
            put(store, "runs", text)
            put(store, "frames", text)
        other = Store(store.url)
        assert other.gc(keep=1, dry_run=True) == ["frames@v2", "frames@v3", "runs@v2", "runs@v3"]
        assert other.gc(keep=1) == ["frames@v2", "frames@v3", "runs@v2", "runs@v3"]
        write(output, "x")
        store.publish(output, facts("speedrun", "reward", F, {"frames": frames}))
    assert store.verify() == []


def test_gc_keeps_what_a_silent_stage_of_another_machine_reads(store):
    frames = [put(store, "frames", text) for text in "abc"]
    holder = far(ttl=60.0)
    hold(store, holder)
    store.objects.put(f"{KEY}/{holder.token}.beat", json.dumps({"beat": 7, "reads": [frames[0].ref]}).encode())
    assert store.gc(keep=1) == ["frames@v2"]
    store.objects.put(f"{KEY}/{holder.token}.beat", b"8")  # as older versions of emurl wrote it
    assert store.gc(keep=1) == ["frames@v1"]


def test_a_parent_that_appears_in_a_lease_while_gc_removes_others_is_kept(store, monkeypatch):
    frames = [put(store, "frames", text) for text in "abc"]
    making = store.making("speedrun", "reward", F, reads=[frames[1].ref])
    remove = Store.remove

    def remove_and_begin(self, artifact):
        making.__enter__()
        remove(self, artifact)

    monkeypatch.setattr(Store, "remove", remove_and_begin)
    assert store.gc(keep=1) == ["frames@v1"]
    making.__exit__(None, None, None)


def test_what_is_made_of_a_removed_parent_is_neither_begun_nor_published(store):
    frames = put(store, "frames", "f")
    with pytest.raises(WorkError, match=r"reward: frames@v1, which it is made of, was removed meanwhile"):  # noqa: SIM117
        with store.making("speedrun", "reward", F, reads=[frames.ref]) as output:
            write(output, "x")
            store.remove(frames)
            store.publish(output, facts("speedrun", "reward", F, {"frames": frames}))
    assert store.all() == []
    with pytest.raises(WorkError, match="was removed meanwhile"), store.making("speedrun", "reward", F, reads=[frames.ref]):
        raise AssertionError
    assert not [key for key in keys(str(store.url)) if key.startswith(".leases")]
