"""Stores: what is no store, what is none any more, manifests damaged field by field, refs and tags that mean nothing."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.bad_input.kinds import WORK, Place, bad, refused_port, variables

MANIFEST = "store/speedrun/reward/v1/manifest.json"
LIST, SHOW = "artifacts list --store store", "artifacts show reward --store store"
VERIFY = "artifacts verify --store store"
FILE = {"name": "x", "size": 1, "sha256": "0" * 64}  # of a manifest


def manifest(place: Place, **changes: object) -> None:
    file = place.store() / Path(MANIFEST).relative_to("store")
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def told(**changes: object):
    return lambda place: manifest(place, **changes)


def field_gone(place: Place) -> dict[str, str]:
    file = place.store() / Path(MANIFEST).relative_to("store")
    held = json.loads(file.read_text())
    key = place.rng.choice(["schema", "stage", "version", "fingerprint", "digest", "settings", "parents", "metrics", "files"])
    held.pop(key)
    file.write_text(json.dumps(held))
    return {"key": key}


def field_of_another_type(place: Place) -> dict[str, str]:
    file = place.store() / Path(MANIFEST).relative_to("store")
    held = json.loads(file.read_text())
    key = place.rng.choice(sorted(set(held) - {"code_revision", "schema", "code_digest"}))
    held[key] = (
        place.rng.choice([True, [[]], 1e400]) if not isinstance(held[key], int | float | list) else place.rng.choice(["x", {}])
    )
    file.write_text(json.dumps(held))
    return {"key": key}


def deep_settings(place: Place) -> None:
    """Less deep than JSON is read, and deeper than what shows it can go."""
    inner: object = 1
    for _ in range(300):
        inner = {"a": inner}
    manifest(place, settings=inner)


def bytes_of_manifest(change) -> object:
    def make(place: Place) -> None:
        file = place.store() / Path(MANIFEST).relative_to("store")
        file.write_bytes(change(file.read_bytes(), place.rng))

    return make


def file_of_reward(change) -> object:
    def make(place: Place) -> None:
        change(place.store() / "speedrun/reward/v1/deep/file.txt")

    return make


def read_only(place: Place) -> None:
    place.store().chmod(0o500)
    if os.access("store", os.W_OK):
        place.folder.joinpath("store").chmod(0o700)
        pytest.skip("whoever runs this may write everywhere")


def closed_port(place: Place) -> None:
    endpoint = f"http://127.0.0.1:{refused_port()}"
    variables(AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")(place)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_disk(place: Place) -> None:
    place.patch.setattr(os, "fsync", full)


def full_at_replace(place: Place) -> None:
    place.patch.setattr(os, "replace", full)


def full_at_import(place: Place) -> None:
    shutil.copy(place.shelf / "policy.zip", "policy.zip")
    full_disk(place)


def a_folder_for_a_manifest(place: Place) -> None:
    place.store()
    (place.folder / MANIFEST).unlink()
    (place.folder / MANIFEST).mkdir()


def estranged(place: Place) -> None:
    """The tokenizer says that it was made with frames of other bytes."""
    file = place.store("models") / "speedrun/tokenizer/v1/manifest.json"
    parents = {"frames": {"version": 1, "digest": "0" * 64, "ref": "frames@v1"}}
    file.write_text(json.dumps({**json.loads(file.read_text()), "parents": parents}))


KINDS = [
    bad("a file for a store", LIST, "store", "folder", files={"store": "x"}),
    bad("a store below a file", "artifacts gc --store store/deep", "store/deep", files={"store": "x"}),
    bad(
        "a store in a place of the system",
        "run tokenizer --config a.yaml --store /proc/emurl",
        "/proc/emurl",
        files={"a.yaml": ""},
    ),
    bad("a store nobody may write", "artifacts tag reward best --store store", "store", "writ", make=read_only),
    bad("a store of an unknown scheme", "artifacts list --store foo://bucket/x", "foo://bucket/x"),
    bad("a store with a NUL", "run tokenizer --config a.yaml", "store", "NUL", files={"a.yaml": 'store: "a\\0b"\n'}),
    bad(
        "a bucket nobody answers for",
        "artifacts list --store s3://bucket/x",
        "s3://bucket/x",
        "does not answer",
        make=closed_port,
        code=1,
    ),
    bad("a store to tidy that is not there", "artifacts gc --store nowhere", "nowhere", "no such folder"),
    bad("a version that is empty", "artifacts tag reward@ best --store store", "reward@", "STAGE@VERSION", store="text"),
    bad("a version to compare that is empty", "compare reward@ reward --store store", "reward@", store="text"),
    bad("a store that is not there", VERIFY, "store", "no such folder"),
    bad("a manifest of a newer schema", SHOW, MANIFEST, "schema 9", "newer", make=told(schema=9), process=True),
    bad("a manifest of a schema that is text", SHOW, MANIFEST, "schema", make=told(schema="two")),
    bad("a manifest that lacks a field", SHOW, MANIFEST, "{key}", make=field_gone, times=5),
    bad("a manifest with a field of another type", SHOW, MANIFEST, "{key}", make=field_of_another_type, times=8),
    bad("a manifest that is empty", SHOW, MANIFEST, make=bytes_of_manifest(lambda data, rng: b"")),
    bad(
        "a manifest that is cut",
        LIST,
        MANIFEST,
        make=bytes_of_manifest(lambda data, rng: data[: rng.randrange(1, len(data) - 2)]),
        times=4,
    ),
    bad(
        "a manifest that is no text",
        LIST,
        MANIFEST,
        make=bytes_of_manifest(lambda data, rng: data.replace(b"reward", b"rew\xffrd")),
    ),
    bad(
        "a manifest in UTF-16",
        SHOW,
        MANIFEST,
        make=bytes_of_manifest(lambda data, rng: data.decode().encode("utf-16-le") + b"\0\xd8"),
    ),
    bad(
        "a manifest that is a list",
        "compare reward frames --store store",
        MANIFEST,
        make=bytes_of_manifest(lambda data, rng: b"[1, 2]"),
    ),
    bad("a manifest nested beyond reason", SHOW, MANIFEST, make=bytes_of_manifest(lambda data, rng: b'{"a":' * 9999)),
    bad("a manifest whose settings are nested beyond reason", f"{SHOW} --json", MANIFEST, "100 deep", make=deep_settings),
    bad("a manifest with a note that is no text", SHOW, MANIFEST, "notes", make=told(notes=["fine", 5])),
    bad(
        "a manifest whose file leads out",
        SHOW,
        MANIFEST,
        "leads out",
        make=told(files=[{"name": "../x", "size": 1, "sha256": "0"}]),
    ),
    bad("a manifest whose digest leads out", SHOW, MANIFEST, "digest", "64 hex", make=told(digest="/../../../../evil")),
    bad(
        "a manifest whose file has half a hash",
        SHOW,
        MANIFEST,
        "sha256",
        "64 hex",
        make=told(files=[FILE | {"sha256": "0" * 32}]),
    ),
    bad("a manifest whose file has a NUL in its name", SHOW, MANIFEST, "NUL", make=told(files=[FILE | {"name": "a\0b"}])),
    bad("a manifest whose file is of the size true", SHOW, MANIFEST, "size", make=told(files=[FILE | {"size": True}])),
    bad("a manifest whose file has no size", SHOW, MANIFEST, "size", make=told(files=[{"name": "x", "sha256": "0"}])),
    bad("a manifest whose parent has no version", SHOW, MANIFEST, "version", make=told(parents={"frames": {"digest": "0"}})),
    bad(
        "a manifest whose parent is no ref",
        "artifacts export reward out.zip --store store",
        "../..",
        make=told(parents={"frames": {"version": 1, "digest": "0", "ref": "../../x"}}),
    ),
    bad("a manifest of another version", SHOW, MANIFEST, "reward@v7", make=told(version=7)),
    bad("a folder for a manifest", SHOW, MANIFEST, make=a_folder_for_a_manifest),
    bad(
        "a file that an artifact lacks",
        VERIFY,
        "reward@v1",
        "deep/file.txt",
        code=1,
        stdout=True,
        make=file_of_reward(lambda file: file.unlink()),
    ),
    bad(
        "a file of an artifact that is cut",
        VERIFY,
        "reward@v1",
        "deep/file.txt",
        code=1,
        stdout=True,
        make=file_of_reward(lambda file: file.write_bytes(b"")),
    ),
    bad(
        "a file of an artifact with other bytes",
        VERIFY,
        "reward@v1",
        "deep/file.txt",
        code=1,
        stdout=True,
        make=file_of_reward(lambda file: file.write_bytes(b"R")),
    ),
    bad(
        "a folder for a file of an artifact",
        "artifacts export reward out.zip --store store",
        "reward@v1",
        "deep/file.txt",
        code=1,
        make=file_of_reward(lambda file: (file.unlink(), file.mkdir())),
    ),
    bad(
        "an export of a damaged artifact",
        "artifacts export policy out.zip --store store",
        "reward@v1",
        "deep/file.txt",
        code=1,
        make=file_of_reward(lambda file: file.write_bytes(b"R")),
        process=True,
    ),
    bad(
        "an export into a folder that is not there",
        "artifacts export reward no/out.zip --store store",
        "no/out.zip",
        store="text",
    ),
    bad(
        "an export over a file",
        "artifacts export reward out.zip --store store",
        "out.zip",
        "--force",
        store="text",
        files={"out.zip": "mine"},
    ),
    bad(
        "an export over a folder",
        "artifacts export reward out.zip --force --store store",
        "out.zip",
        store="text",
        files={"out.zip/x": "mine"},
    ),
    bad(
        "an artifact that is not there",
        "artifacts show tokenizer --store store",
        "tokenizer",
        "emurl run tokenizer",
        store="text",
    ),
    bad("a version that is not there", "compare reward@v1 reward@v2 --store store", "reward@v2", "v1", store="text"),
    bad("a version written wrongly", "artifacts show reward@@1 --store store", "reward@@1", store="text"),
    bad("a ref that climbs", "artifacts show ../reward --store store", "../reward", "STAGE@VERSION", store="text"),
    bad("a tag with a space", "artifacts tag reward 'my best' --store store", "my best", "lower-case", store="text"),
    bad("a tag that is a number of a version", "artifacts tag reward v7 --store store", "v7", store="text"),
    bad("a tag that climbs", "artifacts tag reward ../x --store store", "../x", store="text"),
    bad("a tag that is not there", "artifacts tag reward best --remove --store store", "best", store="text"),
    bad(
        "an input of another stage",
        "run tokenizer --config a.yaml --store store --input reward",
        "--input reward",
        "frames",
        store="text",
        files={"a.yaml": ""},
    ),
    bad(
        "an input twice",
        "run tokenizer --config a.yaml --store store --input frames --input frames@v1",
        "frames@v1",
        store="text",
        files={"a.yaml": ""},
    ),
    bad(
        "an input that is not there",
        "run tokenizer --config a.yaml --store store --input frames@v9",
        "frames@v9",
        store="text",
        files={"a.yaml": ""},
    ),
    bad(
        "an input that is a path",
        "run tokenizer --config a.yaml --store store --input ./frames",
        "./frames",
        store="text",
        files={"a.yaml": ""},
    ),
    bad(
        "parents that were not made with one another",
        "run reward --config a.yaml --store store",
        "tokenizer@v1 was made with frames@v1",
        "expected frames@v1",
        files={"a.yaml": ""},
        make=estranged,
    ),
    bad("a course that a store lacks", "splits --config a.yaml --store store", "reward", files={"a.yaml": ""}, store="models"),
    bad(
        "a report of an empty store",
        "run evaluation --config a.yaml --store store",
        "tokenizer",
        "emurl run",
        files={"a.yaml": ""},
    ),
    bad(
        "a lease time that is none",
        "run tokenizer --config a.yaml --store store",
        "EMURL_LEASE_S",
        "soon",
        files={"a.yaml": ""},
        store="models",
        progress=("tokenizer: ",),
        make=variables(EMURL_LEASE_S="soon"),
    ),
    bad(
        "a disk that is full before a run",
        "run tokenizer --config a.yaml --store store",
        "disk is full",
        code=1,
        store="models",
        files={"a.yaml": ""},
        make=full_disk,
    ),
    bad(
        "a disk that is full at an export",
        "artifacts export policy out.zip --store store",
        "out.zip",
        "disk is full",
        code=1,
        store="text",
        make=full_disk,
    ),
    bad(
        "a disk that is full at an import",
        "artifacts import policy.zip --store store",
        "disk is full",
        code=1,
        kept=WORK,
        make=full_at_import,
    ),
    bad(
        "a disk that is full at a tag",
        "artifacts tag reward best --store store",
        "disk is full",
        code=1,
        store="text",
        make=full_at_replace,
    ),
]
