"""Export and import: what goes out comes in, once, whole or not at all, and lineage stays true."""

import errno
import json
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emurl import cli
from emurl.core import unbundle
from emurl.core.bundle import export
from emurl.core.errors import InputError, WorkError
from emurl.core.importing import take_in
from emurl.core.store import Store, digest_of, sha256_of
from tests.core.test_store import old
from tests.fixtures.bundles import entries, exported
from tests.fixtures.store import facts, make_bucket, put


def snapshot(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_it_comes_in_as_it_went_out(tmp_path):
    path = exported(tmp_path)
    into = Store(tmp_path / "into")
    taken = take_in(into, path)
    assert [(one.ref, one.artifact.ref, one.new) for one in taken] == [
        (r, r, True) for r in ("frames@v1", "reward@v1", "policy@v1")
    ]
    assert snapshot(tmp_path / "into") == snapshot(tmp_path / "from")
    assert into.verify() == []


def test_equal_artifacts_give_equal_bytes(tmp_path):
    path = exported(tmp_path)
    take_in(into := Store(tmp_path / "into"), path)
    export(into, into.get("policy"), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_what_is_there_already_is_not_made_again(tmp_path, store):
    path = exported(tmp_path)
    take_in(store, path)
    before = {one.ref: one.manifest for one in store.all()}
    assert [(one.artifact.ref, one.new) for one in take_in(store, path)] == [
        ("frames@v1", False), ("reward@v1", False), ("policy@v1", False)
    ]  # fmt: skip
    assert {one.ref: one.manifest for one in store.all()} == before and store.verify() == []


def test_a_taken_number_is_given_anew_and_lineage_stays_true(tmp_path, store):
    path = exported(tmp_path)
    for text in ("other", "another"):
        put(store, "frames", text)
    put(store, "policy", "other")
    same = put(store, "reward", "x")
    taken = {one.ref: one.artifact for one in take_in(store, path)}
    assert {ref: one.ref for ref, one in taken.items()} == {
        "frames@v1": "frames@v3", "reward@v1": "reward@v2", "policy@v1": "policy@v2"
    }  # fmt: skip
    policy = store.get("policy")
    assert policy.parents == {"frames": "frames@v3", "reward": "reward@v2"}
    assert store.get("reward").parents == {"frames": "frames@v3"}
    assert policy.path("deep/file.txt").read_text() == "p" and same.ref == "reward@v1"
    was = Store(tmp_path / "from").get("policy")
    assert (policy.digest, policy.fingerprint, policy.metrics) == (was.digest, was.fingerprint, was.metrics)
    assert policy.manifest["created"] == was.manifest["created"]
    assert store.verify() == []
    assert [one.new for one in take_in(store, path)] == [False] * 3
    assert set(store.gc(keep=1)) == {"frames@v1", "frames@v2", "reward@v1", "policy@v1"}


def test_a_number_that_is_free_is_kept_below_and_above(tmp_path, store):
    source = Store(tmp_path / "from")
    for text in "abc":
        put(source, "frames", text)
    export(source, source.get("frames@v3"), tmp_path / "3.zip")
    export(source, source.get("frames@v2"), tmp_path / "2.zip")
    assert [one.artifact.ref for name in "32" for one in take_in(store, tmp_path / f"{name}.zip")] == ["frames@v3", "frames@v2"]
    assert put(store, "frames", "d").ref == "frames@v4"
    assert store.verify() == []


def test_a_bucket_gives_and_takes(tmp_path, s3):
    path = exported(tmp_path)
    first, second = Store(make_bucket()), Store(make_bucket())
    take_in(first, path)
    shutil.rmtree(first.root, ignore_errors=True)  # another machine: nothing of it is here
    export(first, first.get("policy"), tmp_path / "bucket.zip")
    assert (tmp_path / "bucket.zip").read_bytes() == path.read_bytes()
    take_in(second, tmp_path / "bucket.zip")
    assert second.verify() == [] and not second.objects.names(".leases") and not second.objects.names(".claims/speedrun/policy")


def test_an_old_artifact_goes_on_in_the_new_layout(tmp_path):
    source = Store(tmp_path / "from")
    old(source, "frames", 2, "f")
    export(source, source.get("frames@v2"), tmp_path / "old.zip")
    take_in(into := Store(tmp_path / "into"), tmp_path / "old.zip")
    assert into.get("frames").manifest["schema"] == 2 and (tmp_path / "into/speedrun/frames/v2/a.txt").read_text() == "f"
    assert into.verify() == []


names = st.from_regex(r"[a-z0-9é]{1,8}(/[a-z0-9 _.-]{0,6}[a-z0-9]){0,2}", fullmatch=True)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["frames", "reward", "policy"]), st.sampled_from(["speedrun", "vgc"]),
                       st.dictionaries(names, st.binary(max_size=200), max_size=3), st.sets(st.integers(0, 5), max_size=3)),
             min_size=1, max_size=6),
    st.integers(0, 3), st.booleans(),
)  # fmt: skip
def test_any_lineage_comes_through(tmp_path_factory, rows, taken, remote):
    """Any store's last artifact, into a store where some numbers are taken: same files, same digests, same lineage; twice is once."""
    folder = tmp_path_factory.mktemp("any")
    source, made = Store(folder / "from"), []
    for number, (stage, pipeline, files, above) in enumerate(rows):
        parents = {f"p{place}": made[place] for place in above if place < len(made)}
        fingerprint = sha256_of([number, stage, pipeline])
        with source.making(pipeline, stage, fingerprint) as output:
            for name, data in files.items():
                if not any(
                    f"{other}/".startswith(f"{name}/") or f"{name}/".startswith(f"{other}/") for other in files if other != name
                ):
                    output.path(name).write_bytes(data)
            made.append(source.publish(output, facts(pipeline, stage, fingerprint, parents)))
    export(source, made[-1], folder / "out.zip")
    into = Store(f"memory://{uuid.uuid4().hex}/store" if remote else folder / "into")
    for number in range(taken):
        put(into, "frames", f"taken {number}")
    known = {one.ref for one in into.all()}
    result = {one.ref: one.artifact for one in take_in(into, folder / "out.zip")}
    for ref, artifact in result.items():
        was, now = source.get(ref), into.get(artifact.ref)
        assert artifact.ref not in known and (now.digest, now.fingerprint) == (was.digest, was.fingerprint)
        assert now.parents == {name: result[parent].ref for name, parent in was.parents.items()}
        assert all(
            (now.folder / file["name"]).read_bytes() == (was.folder / file["name"]).read_bytes() for file in was.manifest["files"]
        )
    assert into.verify() == [] and not any(one.new for one in take_in(into, folder / "out.zip"))
    assert made[-1].ref in result


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_missing_or_other_ancestor_is_named(tmp_path):
    exported(tmp_path)
    store = Store(tmp_path / "from")
    (tmp_path / "from/speedrun/frames/v1").rename(tmp_path / "away")
    with pytest.raises(InputError, match=r"(policy|reward)@v1: its parent frames@v1 is not in the store"):
        export(store, store.get("policy"), tmp_path / "x.zip")
    put(store, "frames", "other")
    with pytest.raises(InputError, match=r"frames@v1 in the store .* is not the one it was made from"):
        export(store, store.get("policy"), tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("harm", ["change", "shorten", "lengthen", "remove"])
def test_a_harmed_file_is_not_exported(tmp_path, harm):
    path = exported(tmp_path)
    path.unlink()
    file = tmp_path / "from/speedrun/reward/v1/deep/file.txt"
    file.unlink() if harm == "remove" else file.write_text({"change": "x", "shorten": "", "lengthen": "r" * 5_000_000}[harm])
    store = Store(tmp_path / "from")
    with pytest.raises(WorkError, match=r"reward@v1: deep/file.txt is (missing|not what)"):
        export(store, store.get("policy"), path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["from"]


def test_names_that_nobody_could_take_in_are_not_exported(tmp_path):
    store = Store(tmp_path / "from")
    for number, two in enumerate((("a.txt", "A.txt"), ("x\ny", "z"))):
        with store.making("speedrun", "frames", f"{number}" * 64) as output:
            for name in two:
                output.path(name).write_text("")
            made = store.publish(output, facts("speedrun", "frames", f"{number}" * 64))
        with pytest.raises(InputError, match=r"frames@v. *: '.*' is (the same as|not a name)"):
            export(store, made, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    path = exported(tmp_path)
    store = Store(tmp_path / "from")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("zipfile._ZipWriteFile.write", full)
        with pytest.raises(WorkError, match="the disk is full"):
            export(store, store.get("policy"), tmp_path / "x.zip")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["from", "policy.zip"]
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
        with pytest.raises(WorkError, match="has 0 MiB free, expected"):
            take_in(Store(tmp_path / "into"), path)
    assert not (tmp_path / "into").exists()
    read = unbundle.Bundle._read

    def fill(self, name, file, into, tick):
        if "policy" in name:
            raise OSError(errno.ENOSPC, "No space left on device")
        read(self, name, file, into, tick)

    monkeypatch.setattr(unbundle.Bundle, "_read", fill)
    with pytest.raises(WorkError, match="full"):
        take_in(Store(tmp_path / "into"), path)
    assert snapshot(tmp_path / "into") == {}


def test_killed_in_the_midst_it_goes_on(tmp_path):
    """Killed between two versions: what is there is whole, and the same command again brings the rest."""
    path = exported(tmp_path)
    script = f"""
import os
from emurl.core import importing
from emurl.core.store import Store
real = importing._publish
def once(store, artifact, *rest):
    if artifact.stage == "reward":
        os.kill(os.getpid(), 9)
    return real(store, artifact, *rest)
importing._publish = once
importing.take_in(Store({str(tmp_path / "into")!r}), importing.Path({str(path)!r}))
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(cli.__file__).parent.parent).returncode == -9
    store = Store(tmp_path / "into")
    assert [one.ref for one in store.all()] == ["frames@v1"] and store.verify() == []
    assert [(one.ref, one.new) for one in take_in(store, path)] == [
        ("frames@v1", False),
        ("reward@v1", True),
        ("policy@v1", True),
    ]
    store.sweep()
    assert snapshot(tmp_path / "into") == snapshot(tmp_path / "from")


def test_the_words(tmp_path, capsys, monkeypatch):
    path = exported(tmp_path)
    monkeypatch.chdir(tmp_path)

    def say(*words):
        code = cli.main(["artifacts", *words])
        out, err = capsys.readouterr()
        return code, out.strip(), err.strip()

    code, out, err = say("export", "policy", "policy.zip", "--store", "from")
    assert (code, out) == (2, "") and "is there already" in err and len(err.splitlines()) == 1
    code, out, _ = say("export", "policy@v1", "policy.zip", "--store", "from", "--force", "--json")
    told = json.loads(out)
    assert code == 0 and told["artifacts"] == ["frames@v1", "reward@v1", "policy@v1"] and told["bytes"] == path.stat().st_size
    assert say("import", "policy.zip", "--store", "into") == (0, "frames@v1\nreward@v1\npolicy@v1", "")
    put(Store("other"), "policy", "x")
    assert say("import", "policy.zip", "--store", "other")[1].splitlines()[-1] == "policy@v2 (was policy@v1)"
    code, out, _ = say("import", "policy.zip", "--store", "into", "--json")
    rows = json.loads(out)["artifacts"]
    assert rows[2] == {"from": "policy@v1", "ref": "policy@v1", "new": False}
    for words in (
        ("export", "policy", "no/such/x.zip"), ("export", "policy", "."), ("export", "policy@v9", "x.zip"), ("export", "policy", "x\0"),
    ):  # fmt: skip
        code, out, err = say(*words, "--store", "from")
        assert (code, out) == (2, "") and len(err.splitlines()) == 1, words
    for name in ("missing.zip", ".", "from/speedrun/policy/v1/manifest.json"):
        code, out, err = say("import", name, "--store", "fresh")
        assert (code, out) == (2, "") and len(err.splitlines()) == 1 and name in err
        assert not list(Path("fresh").rglob("manifest.json"))


def test_a_true_export_needs_no_emurl_to_be_listed(tmp_path):
    held = entries(exported(tmp_path))
    manifest = json.loads(held["speedrun/policy/v1/manifest.json"])
    assert manifest["digest"] == digest_of("policy", manifest["files"])
    assert json.loads(held["emurl-export.json"])["ref"] == "policy@v1"
