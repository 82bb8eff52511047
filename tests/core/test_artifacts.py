"""The store: whole or nothing, nothing lost, nothing changed unseen."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emurl.core.errors import InputError, WorkError
from emurl.core.store import Artifact, Output, Store, canonical_json, sha256_of
from emurl.core.upkeep import gc, verify


def facts(stage: str, fingerprint: str, parents: dict[str, Artifact] | None = None) -> dict:
    return {
        "stage": stage,
        "fingerprint": fingerprint,
        "code_version": 1,
        "settings": {"a": 1},
        "parents": {name: {"version": one.version, "digest": one.digest} for name, one in (parents or {}).items()},
        "duration_s": 0.0,
    }


def put(store: Store, stage: str, text: str, parents: dict[str, Artifact] | None = None) -> Artifact:
    fingerprint = sha256_of([stage, text])
    with store.writing(stage, fingerprint) as output:
        output.path("deep/file.txt").write_text(text)
        output.metrics["score"] = 0.25
        return store.publish(output, facts(stage, fingerprint, parents))


@pytest.fixture(params=["local", "remote"])
def store(request, tmp_path, monkeypatch):
    if request.param == "local":
        return Store(tmp_path / "store")
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path / "cache"))
    return Store(f"memory://{uuid.uuid4().hex}/store")


def test_versions_count_up_and_latest_is_the_newest(store):
    first, second = put(store, "reward", "one"), put(store, "reward", "two")
    assert (first.ref, second.ref) == ("reward@v1", "reward@v2")
    assert store.get("reward").ref == store.get("reward@latest").ref == "reward@v2"
    assert store.get("reward@v1").path("deep/file.txt").read_text() == "one"
    assert store.get("reward@1").ref == "reward@v1"
    assert verify(store) == []


def test_same_files_same_digest_other_files_other_digest(store):
    assert put(store, "reward", "x").digest == put(store, "reward", "x").digest
    assert put(store, "reward", "y").digest != store.get("reward@v1").digest


def test_find_knows_a_fingerprint_again(store):
    made = put(store, "reward", "x")
    assert store.find("reward", made.fingerprint).ref == made.ref
    assert store.find("reward", "0" * 64) is None


def test_a_remote_store_is_read_by_another_machine(tmp_path, monkeypatch):
    url = f"memory://{uuid.uuid4().hex}/store"
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path / "here"))
    put(Store(url), "reward", "far")
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path / "there"))
    there = Store(url)
    assert there.find("reward", sha256_of(["reward", "far"])).path("deep/file.txt").read_text() == "far"
    assert verify(there) == []


@pytest.mark.parametrize("ref", ["reward", "reward@v9", "reward@x", "nothing@v1"])
def test_what_is_not_there_is_one_line(store, ref):
    if "@" in ref:
        put(store, "reward", "x")
    with pytest.raises(InputError) as caught:
        store.get(ref)
    assert ref in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_seen_before_publish(tmp_path):
    store = Store(tmp_path)
    with store.writing("reward", "f" * 64) as output:
        output.path("half.txt").write_text("half")
        assert store.stages() == []
        assert verify(store) == []


def test_scratch_survives_a_failure_and_files_do_not(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writing("reward", "f" * 64) as output:
        (output.scratch / "checkpoint").write_text("step 5")
        output.path("half.txt").write_text("half")
        raise RuntimeError
    with store.writing("reward", "f" * 64) as output:
        assert (output.scratch / "checkpoint").read_text() == "step 5"
        assert list(output.folder.iterdir()) == []


def test_two_at_the_same_work_is_refused(tmp_path):
    store = Store(tmp_path)
    with store.writing("reward", "f" * 64), pytest.raises(WorkError, match="another process"), store.writing("reward", "f" * 64):
        pass


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not writable"), Store(tmp_path / "file" / "store").writing("reward", "f" * 64):
        pass


@pytest.mark.parametrize("harm", ["change", "cut", "remove", "add", "manifest", "digest", "orphan"])
def test_verify_sees_every_harm(tmp_path, harm):
    store = Store(tmp_path)
    parent = put(store, "frames", "p")
    child = put(store, "reward", "c", {"frames": parent})
    assert verify(store) == []
    file, manifest = child.path("deep/file.txt"), child.folder / "manifest.json"
    if harm == "change":
        file.write_text("d")
    elif harm == "cut":
        file.write_text("")
    elif harm == "remove":
        file.unlink()
    elif harm == "add":
        (child.folder / "extra").write_text("?")
    elif harm == "manifest":
        manifest.write_text("{")
    elif harm == "digest":
        manifest.write_text(json.dumps({**child.manifest, "digest": "0" * 64}))
    elif harm == "orphan":
        (parent.folder / "manifest.json").unlink()
    assert len(verify(store)) >= 1


def test_gc_keeps_the_newest_and_what_they_came_from(tmp_path):
    store = Store(tmp_path)
    frames = [put(store, "frames", f"f{n}") for n in range(4)]
    put(store, "reward", "r", {"frames": frames[0]})
    with store.writing("reward", "e" * 64) as output:
        (output.scratch / "x").write_text("")
        planned = gc(store, keep=1, dry_run=True)
        assert planned == ["frames@v2", "frames@v3"]  # the work in progress is not touched
    assert store.versions("frames") == [1, 2, 3, 4]
    assert set(gc(store, keep=1)) == {"frames@v2", "frames@v3", ".work/reward-" + "e" * 16}
    assert store.versions("frames") == [1, 4]
    assert verify(store) == []


def test_a_number_that_json_cannot_hold_becomes_null(tmp_path):
    store = Store(tmp_path)
    with store.writing("reward", "f" * 64) as output:
        output.metrics.update(good=1 / 3, bad=float("nan"), worse=float("inf"), count=3, name="x")
        made = store.publish(output, facts("reward", "f" * 64))
    assert made.metrics == {"good": 0.333333, "bad": None, "worse": None, "count": 3, "name": "x"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_canonical_json_forgets_only_the_order_of_keys(value):
    assert json.loads(canonical_json(value)) == value
    if isinstance(value, dict):
        assert sha256_of(dict(reversed(list(value.items())))) == sha256_of(value)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(max_size=64), max_size=5))
def test_what_goes_in_comes_out(tmp_path_factory, files):
    store = Store(tmp_path_factory.mktemp("store"))
    with store.writing("reward", "f" * 64) as output:
        for name, content in files.items():
            output.path(f"{name}.bin").write_bytes(content)
        made = store.publish(output, facts("reward", "f" * 64))
    assert {path.stem: path.read_bytes() for path in made.folder.glob("*.bin")} == files
    assert verify(store) == []


def test_a_kill_at_any_moment_of_publishing_leaves_all_or_nothing(tmp_path):
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from test_artifacts import put
        from emurl.core.store import Store
        store = Store(sys.argv[1])
        print("ready", flush=True)
        for number in range(10_000):
            put(store, "reward", "x" * 200_000 + str(number))
    """)
    for delay in (0.0, 0.013, 0.029, 0.047):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "store"), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05 + delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert verify(Store(tmp_path / "store")) == []
    assert len(Store(tmp_path / "store").versions("reward")) > 0


def test_output_makes_parents_and_keeps_notes(tmp_path):
    output = Output(tmp_path / "files", tmp_path / "scratch")
    output.path("a/b/c.txt").write_text("x")
    output.note("mind this")
    assert output.notes == ["mind this"]
