"""The store: whole or nothing, nothing lost, nothing changed unseen, on a folder, in memory and on S3."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emurl.core.artifact import read_manifest, ref_of, split_ref
from emurl.core.errors import InputError, WorkError
from emurl.core.files import is_disk_full, write_atomically
from emurl.core.store import Artifact, Output, Store, canonical_json, digest_of, sha256_of
from tests.fixtures.store import facts, keys, make_bucket, put


def test_versions_count_up_and_latest_is_the_newest(store):
    store.probe()
    first, second = put(store, "reward", "one"), put(store, "reward", "two")
    assert (first.ref, second.ref) == ("reward@v1", "reward@v2")
    assert store.get("reward").ref == store.get("reward@latest").ref == store.get("speedrun/reward").ref == "reward@v2"
    assert store.get("reward@v1").path("deep/file.txt").read_text() == "one"
    assert store.get("reward@1").path("deep").is_dir()
    assert store.find("speedrun", "reward", first.fingerprint).ref == "reward@v1"
    assert store.find("speedrun", "reward", "0" * 64) is None
    assert second.headline == "score" and second.manifest["schema"] == 2 and second.manifest["code_digest"] == "c" * 64
    assert store.verify() == []


def test_pipelines_stand_side_by_side(near):
    store = near
    frames = put(store, "frames", "f")
    put(store, "reward", "r", {"frames": frames})
    mine = put(store, "league", "l", {"frames": frames}, pipeline="vgc")
    child = put(store, "evaluation", "e", {"league": mine}, pipeline="vgc")
    assert mine.ref == "vgc/league@v1"
    assert store.pipelines() == ["speedrun", "vgc"]
    assert store.stages("speedrun") == ["frames", "reward"] and store.stages("vgc") == ["evaluation", "league"]
    assert [one.ref for one in store.all()] == ["frames@v1", "reward@v1", "vgc/evaluation@v1", "vgc/league@v1"]
    assert mine.parents == {"frames": "frames@v1"} and child.parents == {"league": "vgc/league@v1"}
    assert store.verify() == []
    put(store, "frames", "newer")
    assert "frames@v1" not in store.gc(keep=1)  # another pipeline's artifact came from it


def test_the_layout_is_exact_and_nothing_else_is_left(store):
    put(store, "reward", "one", files=2)
    assert keys(str(store.url)) == [f"speedrun/reward/v1/{name}" for name in ("deep/file.txt", "file1.txt", "manifest.json")]


def test_same_files_same_digest_other_files_other_digest(near):
    store = near
    assert put(store, "reward", "x").digest == put(store, "reward", "x").digest
    assert put(store, "reward", "y").digest != store.get("reward@v1").digest


@pytest.mark.parametrize(
    "ref", ["reward", "reward@v9", "reward@x", "nothing@v1", "vgc/reward", "../x@v1", "a/b/c", "@v1", "reward@v0"]
)
def test_what_is_not_there_is_one_line(tmp_path, ref):
    store = Store(tmp_path)
    if "@" in ref:
        put(store, "reward", "x")
    with pytest.raises(InputError) as caught:
        store.get(ref)
    assert ref in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_seen_before_publish_and_scratch_survives(near):
    store = near
    with pytest.raises(RuntimeError), store.making("speedrun", "reward", "f" * 64) as output:
        (output.scratch / "checkpoint").write_text("step 5")
        output.path("half.txt").write_text("half")
        assert store.pipelines() == [] and store.verify() == []
        raise RuntimeError
    with store.making("speedrun", "reward", "f" * 64) as output:
        assert (output.scratch / "checkpoint").read_text() == "step 5"
        assert list(output.folder.iterdir()) == []


def test_two_at_the_same_work_is_refused_at_once(near):
    store = near
    began = time.monotonic()
    with (
        store.making("speedrun", "reward", "f" * 64),
        pytest.raises(WorkError) as caught,
        store.making("speedrun", "reward", "f" * 64),
    ):
        pass
    assert f"process {os.getpid()}" in str(caught.value) and os.uname().nodename in str(caught.value)
    assert time.monotonic() - began < 5


def test_a_removed_number_of_a_bucket_is_not_used_again(s3):
    store = Store(make_bucket())
    put(store, "reward", "one")
    store.remove(put(store, "reward", "two"))
    assert store.versions("speedrun", "reward") == [1]
    assert put(store, "reward", "three").ref == "reward@v3"
    assert store.sweep() == [] and store.verify() == []


def test_another_machine_reads_manifests_first_and_files_when_asked(s3, tmp_path, monkeypatch):
    url = make_bucket()
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path / "here"))
    put(Store(url), "reward", "far", files=3)
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path / "there"))
    there = Store(url).get("reward")
    assert not there.local.exists()
    assert there.path("file1.txt").read_text() == "far"
    assert sorted(path.name for path in there.local.iterdir()) == ["file1.txt", "manifest.json"]
    assert (there.folder / "deep" / "file.txt").read_text() == "far"
    with pytest.raises(InputError, match="holds no nothing"):
        there.path("nothing")


@pytest.mark.parametrize("again", ["reward", None])
def test_a_version_replaced_by_hand_is_not_taken_for_the_one_that_was_read(near, again):
    store = near
    old = put(store, "reward", "old")
    assert store.find("speedrun", "reward", old.fingerprint).ref == "reward@v1"
    for key in store.objects.below("speedrun/reward/v1"):
        store.objects.delete([f"speedrun/reward/v1/{key}"])
    if again:
        put(Store(store.url), "reward", "new")
    assert store.find("speedrun", "reward", old.fingerprint) is None
    with store.making("speedrun", "reward", old.fingerprint) as output:
        assert output.found is None


def test_the_cache_never_mixes_two_contents_of_one_number(s3, tmp_path):
    store = Store(make_bucket())
    first = put(store, "reward", "one", files=2)
    store.remove(first)
    store.remote.delete([".claims/speedrun/reward/v1.end"])  # the record, too: as if the store had been made anew
    second = put(store, "reward", "two", files=2)
    assert second.ref == first.ref and second.local != first.local
    assert {store.get("reward").path(name).read_text() for name in ("deep/file.txt", "file1.txt")} == {"two"}


def test_a_file_that_is_not_what_its_manifest_says_is_not_used(s3, tmp_path, monkeypatch):
    store = Store(make_bucket())
    put(store, "reward", "one")
    store.remote.put("speedrun/reward/v1/deep/file.txt", b"two")
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path / "other"))
    far = Store(store.url).get("reward")
    with pytest.raises(WorkError, match="not what its manifest says"):
        far.path("deep/file.txt")
    assert list(far.local.rglob("*.txt")) == []


@pytest.mark.parametrize("harm", ["change", "cut", "remove", "add", "manifest", "digest", "orphan", "schema", "elsewhere"])
@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_verify_sees_every_harm(tmp_path, harm, kind):
    store = Store(tmp_path if kind == "folder" else f"memory://{uuid.uuid4().hex}/store")
    parent = put(store, "frames", "p")
    child = put(store, "reward", "c", {"frames": parent})
    assert store.verify() == []
    place = "speedrun/reward/v1"
    texts = {"manifest": "{", "digest": {"digest": "0" * 64}, "schema": {"schema": 9}, "elsewhere": {"version": 7}}
    if harm in texts:
        text = texts[harm]
        store.objects.put(
            f"{place}/manifest.json", (text if isinstance(text, str) else json.dumps({**child.manifest, **text})).encode()
        )
    elif harm in ("change", "cut", "add"):
        name, text = {"change": ("deep/file.txt", b"d"), "cut": ("deep/file.txt", b""), "add": ("extra", b"?")}[harm]
        store.objects.put(f"{place}/{name}", text)
    else:
        store.objects.delete([f"{place}/deep/file.txt" if harm == "remove" else "speedrun/frames/v1/manifest.json"])
    assert len(store.verify()) >= 1
    assert all("\n" not in line for line in store.verify())


def test_gc_keeps_the_newest_and_what_they_came_from(near):
    store = near
    frames = [put(store, "frames", f"f{n}") for n in range(4)]
    put(store, "reward", "r", {"frames": frames[0]})
    with store.making("speedrun", "reward", "e" * 64) as output:
        (output.scratch / "x").write_text("")
        assert store.gc(keep=1, dry_run=True) == ["frames@v2", "frames@v3"]  # the work in progress is not touched
    assert store.versions("speedrun", "frames") == [1, 2, 3, 4]
    assert set(store.gc(keep=1)) == {"frames@v2", "frames@v3", ".work/speedrun-reward-" + "e" * 16}
    assert store.versions("speedrun", "frames") == [1, 4]
    assert store.verify() == []


# --- stores of before -------------------------------------------------------------------------------------------------


def old(store: Store, stage: str, number: int, text: str, **changes: object) -> None:
    """An artifact as emurl 0.1 wrote it."""
    files = [{"name": "a.txt", "size": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}]
    manifest = {
        "schema": 1, "stage": stage, "version": number, "fingerprint": sha256_of(text),
        "settings": {}, "parents": {}, "metrics": {"m": 1},
        "notes": [], "files": files, "digest": digest_of(stage, files),
        "code_version": 3, "code_revision": "x", "created": "2026", "duration_s": 1.0,
        **changes,
    }  # fmt: skip
    store.objects.put(f"{stage}/v{number}/a.txt", text.encode())
    store.objects.put(f"{stage}/v{number}/manifest.json", json.dumps(manifest).encode())


def test_an_old_store_is_read_and_goes_on_in_the_new_layout(store):
    old(store, "frames", 1, "f")
    old(store, "reward", 2, "one")
    frames = store.get("frames")
    old(store, "reward", 3, "two", parents={"frames": {"version": 1, "digest": frames.digest}})
    assert (store.pipelines(), store.stages("speedrun"), store.versions("speedrun", "reward")) == (
        ["speedrun"],
        ["frames", "reward"],
        [2, 3],
    )
    assert store.get("reward").parents == {"frames": "frames@v1"} and store.get("reward").pipeline == "speedrun"
    assert store.get("reward@v2").path("a.txt").read_text() == "one"
    assert store.find("speedrun", "reward", sha256_of("one")).ref == "reward@v2"
    assert store.verify() == []
    assert put(store, "reward", "new", {"frames": frames}).ref == "reward@v4"
    assert "speedrun/reward/v4/manifest.json" in keys(str(store.url))
    assert store.versions("speedrun", "reward") == [2, 3, 4] and store.verify() == []
    assert set(store.gc(keep=1)) == {"reward@v2", "reward@v3"}
    assert store.versions("speedrun", "reward") == [4] and store.verify() == []


@pytest.mark.parametrize("schema", [0, 3, "2", None])
def test_an_unknown_schema_is_one_line(tmp_path, schema):
    store = Store(tmp_path)
    old(store, "reward", 1, "x", schema=schema)
    with pytest.raises(InputError, match="expected 1 or 2") as caught:
        store.get("reward")
    assert "\n" not in str(caught.value)


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_a_manifest_of_anything_is_an_artifact_or_one_line(value):
    try:
        read_manifest(json.dumps(value), "here")
    except InputError as error:
        assert str(error).startswith("here: ")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "C:/x", "a\\..\\x"])
def test_a_file_name_that_leads_out_is_refused(tmp_path, name):
    store = Store(tmp_path)
    old(store, "reward", 1, "x", files=[{"name": name, "size": 1, "sha256": "0" * 64}])
    with pytest.raises(InputError, match="not a manifest"):
        store.get("reward")


# --- small things -------------------------------------------------------------------------------------------------------


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True),
    st.from_regex(r"[a-z0-9][a-z_-]{0,8}", fullmatch=True),
    st.integers(1),
)
def test_a_ref_is_read_as_it_is_written(pipeline, stage, number):
    assert split_ref(ref_of(pipeline, stage, number)) == (pipeline, stage, f"v{number}")


def test_a_number_that_json_cannot_hold_becomes_null(tmp_path):
    store = Store(tmp_path)
    with store.making("speedrun", "reward", "f" * 64) as output:
        output.metrics.update(good=1 / 3, bad=float("nan"), worse=float("inf"), count=3, name="x")
        made = store.publish(output, facts("speedrun", "reward", "f" * 64))
    assert made.metrics == {"good": 0.333333, "bad": None, "worse": None, "count": 3, "name": "x"}


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_canonical_json_forgets_only_the_order_of_keys(value):
    assert json.loads(canonical_json(value)) == value
    if isinstance(value, dict):
        assert sha256_of(dict(reversed(list(value.items())))) == sha256_of(value)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(max_size=64), max_size=5))
def test_what_goes_in_comes_out(tmp_path_factory, files):
    store = Store(tmp_path_factory.mktemp("store"))
    with store.making("speedrun", "reward", "f" * 64) as output:
        for name, content in files.items():
            output.path(f"{name}.bin").write_bytes(content)
        made = store.publish(output, facts("speedrun", "reward", "f" * 64))
    assert {path.stem: path.read_bytes() for path in made.folder.glob("*.bin")} == files
    assert store.verify() == []


def test_output_makes_parents_and_keeps_notes(tmp_path):
    output = Output(tmp_path / "files", tmp_path / "scratch")
    output.path("a/b/c.txt").write_text("x")
    output.note("mind this")
    output.scratch_saved(tmp_path / "x")
    output.flush()
    assert output.notes == ["mind this"]


def test_home_is_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store("~/data").root == tmp_path / "data" == Store("file://~/data").root
    assert Store("./~data").root.name == "~data"
    monkeypatch.setenv("EMURL_CACHE", "~/cache")
    assert Store("memory://x").root.is_relative_to(tmp_path / "cache")


def test_an_artifact_of_a_folder_needs_no_store(tmp_path):
    assert Artifact(tmp_path, {"stage": "videos", "version": 1, "metrics": {}, "settings": {}}).folder == tmp_path


def test_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "new" / "file.npz"
    with write_atomically(file, sync=True) as aside:
        assert aside.suffix == ".npz" and not file.exists()
        aside.write_text("one")
    with pytest.raises(RuntimeError), write_atomically(file) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert file.read_text() == "one" and [path.name for path in file.parent.iterdir()] == ["file.npz"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "x"),
        OSError(errno.EDQUOT, "x"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        OSError("8000000 requested and 3145600 written"),
    ],
)
def test_a_full_disk_is_one_line_wherever_it_comes_from(tmp_path, error):
    store = Store(tmp_path)
    told = r"reward: the disk of .* is full; free some and run again"
    with pytest.raises(WorkError, match=told), store.making("speedrun", "reward", "f" * 64):
        try:
            raise error
        except type(error) as cause:
            raise ValueError("wrapped") from cause
    assert is_disk_full(error) and not is_disk_full(ValueError("x")) and not is_disk_full(OSError("3 requested and given"))
    put(store, "reward", "x")


def test_a_kill_at_any_moment_of_publishing_leaves_all_or_nothing(tmp_path):
    program = textwrap.dedent("""
        import sys
        from tests.fixtures.store import put
        from emurl.core.store import Store
        store = Store(sys.argv[1])
        print("ready", flush=True)
        for number in range(10_000):
            put(store, "reward", "x" * 200_000 + str(number))
    """)
    for delay in (0.0, 0.013, 0.029, 0.047):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05 + delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert Store(tmp_path / "store").verify() == []
    assert len(Store(tmp_path / "store").versions("speedrun", "reward")) > 0
    Store(tmp_path / "store").sweep()
    Store(tmp_path / "store").gc(keep=100)
    assert all(key.startswith("speedrun/") for key in keys(str(tmp_path / "store")))
