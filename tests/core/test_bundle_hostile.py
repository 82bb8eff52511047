"""Files that somebody made to do harm: each refused in one line that names what is wrong, and the store as it was."""

import io
import json
import os
import pickle
import stat
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emurl import cli
from emurl.core import unbundle
from emurl.core.errors import InputError
from emurl.core.importing import take_in
from emurl.core.pickles import pickled
from emurl.core.store import Store
from tests.fixtures.bundles import INDEX, edit, entries, exported, with_file, write

FILE = "speedrun/reward/v1/deep/file.txt"
MANIFEST = "speedrun/reward/v1/manifest.json"


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    return entries(exported(tmp_path_factory.mktemp("true")))


@pytest.fixture
def refused(tmp_path, capsys):
    """Import what is at a path: the line it is refused with. Nothing may have changed, inside the store or beside it."""

    def look(path):
        before = {*tmp_path.parent.iterdir(), *tmp_path.rglob("*")}
        code = cli.main(["artifacts", "import", str(path), "--store", str(tmp_path / "store")])
        out, err = capsys.readouterr()
        assert (code, out) == (2, ""), err
        assert len(err.splitlines()) == 1 and str(path) in err and err.strip().isprintable()
        left = [one for one in {*tmp_path.parent.iterdir(), *tmp_path.rglob("*")} - before if not one.is_dir()]
        assert left == [], left
        return err

    return look


def row(told, ref):
    return next(one for one in told["artifacts"] if one["ref"] == ref)


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


def npy(array):
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def zipped(name, data, compression=zipfile.ZIP_STORED):
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", compression) as archive:
        archive.writestr("archive/a.txt", b"x" * 200_000)  # what is in the middle of a large file
        archive.writestr(name, data)
        archive.writestr("archive/b.txt", b"x" * 200_000)
    return into.getvalue()


PICKLES = {
    **{f"protocol {n}": pickle.dumps(Runs(), protocol=n) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
    "by hand": b"cos\nsystem\n(S'true'\ntR.",
    "torch": zipped("archive/data.pkl", pickle.dumps({})),
    "torch deflated": zipped("archive/data.pkl", pickle.dumps({}), zipfile.ZIP_DEFLATED),
    "objects": npy(np.array([{}, Runs()], dtype=object)),
    "structured": npy(np.zeros(2, dtype=[("a", "i4"), ("b", "O")])),
}


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", ["model.safetensors", "deep/data.json"])
def test_a_pickle_whatever_it_is_called(held, tmp_path, refused, kind, name):
    line = refused(write(tmp_path / "x.zip", with_file(held, "policy@v1", name, PICKLES[kind])))
    assert f"speedrun/policy/v1/{name}" in line and "pickle" in line


@pytest.mark.parametrize("name", ["model.pkl", "model.PT", "a/b.joblib", "policy.ckpt"])
def test_the_name_of_a_pickle(held, tmp_path, refused, name):
    assert "has the name of a pickle" in refused(write(tmp_path / "x.zip", with_file(held, "policy@v1", name, b"")))


@pytest.mark.parametrize(
    "data",
    [b"", b".", b"{}", b"[1, 2]", b"course,seconds\n1,2\n3,4\n", b"cos\nsystem\n", b"\x89PNG\r\n", b"GIF89a", b"PAR1", npy(np.zeros(3)),
     zipped("a.txt", b"pickle .pkl"), b"Ia\n."],
)  # fmt: skip
def test_what_is_none_is_not_called_one(data):
    assert pickled("a.bin", data[: 1 << 16], data[-(1 << 16) :]) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64), st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_any_pickle_that_calls_something_is_seen(data, protocol):
    class Any:
        def __reduce__(self):
            return bytes, (data,)

    told = pickle.dumps(Any(), protocol=protocol)
    assert pickled("a", told, told) == "is a pickle"


CLIMBS = ["../up.txt", "/etc/x", "a/../../../up", "..\\up.txt", "C:/x", "c:x", "\\\\host\\x", "speedrun/reward/v1/../../../../up"]


@pytest.mark.parametrize("name", CLIMBS)
def test_a_name_that_leads_out(held, tmp_path, refused, name):
    assert "leads out of the store" in refused(write(tmp_path / "x.zip", {**held, name: b"x"}))


@pytest.mark.parametrize("name", CLIMBS)
def test_a_manifest_that_leads_out(held, tmp_path, refused, name):
    changed = edit(held, "reward@v1", lambda told: told["files"].append({"name": name, "size": 1, "sha256": "0" * 64}))
    assert "leads out of the artifact" in refused(write(tmp_path / "x.zip", changed))


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a//b", "./a", "a/./b", "x" * 300, "a\u202e\n"])
def test_a_name_that_no_disk_should_hold(held, tmp_path, refused, name):
    assert "is not a name that every disk takes" in refused(write(tmp_path / "x.zip", {**held, name: b"x"}))


def test_a_nul_in_a_name(held, tmp_path, refused):
    path = write(tmp_path / "x.zip", {**held, "nulXbyte": b"x"})
    path.write_bytes(path.read_bytes().replace(b"nulXbyte", b"nul\0byte"))
    assert "is not a name that every disk takes" in refused(path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [(stat.S_IFLNK, "is a link"), (stat.S_IFBLK, "is a device"), (stat.S_IFCHR, "is a device"), (stat.S_IFIFO, "is a device, a pipe"),
     (stat.S_IFSOCK, "socket"), (stat.S_IFDIR, "is a folder")],
)  # fmt: skip
def test_what_is_not_a_file(held, tmp_path, refused, kind, said):
    def change(info):
        if info.filename == FILE:
            info.create_system, info.external_attr = 3, (kind | 0o777) << 16

    line = refused(write(tmp_path / "x.zip", held, change))
    assert FILE in line and said in line


def test_a_folder(held, tmp_path, refused):
    assert "speedrun/x/" in refused(write(tmp_path / "x.zip", {**held, "speedrun/x/": b""}))


@pytest.mark.parametrize(
    ("name", "said"),
    [("speedrun/reward/v1/deep/FILE.txt", "is the same as"), ("speedrun/reward/v1/Deep/other.txt", "is in the same folder as"),
     ("speedrun/reward/v1/deep", "is a file and a folder"), ("speedrun/reward/v1/deep/file.txt.", "is the same as"),
     ("speedrun/reward/v1/deep/\ufb01le.txt", "is the same as")],
)  # fmt: skip
def test_names_that_collide_on_some_disk(held, tmp_path, refused, name, said):
    assert said in refused(write(tmp_path / "x.zip", {**held, name: b"x"}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(held, tmp_path, refused):
    path = write(tmp_path / "x.zip", held)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE, b"second")
    assert f"{FILE} is there twice" in refused(path)


def test_a_bomb(held, tmp_path, refused):
    bomb = with_file(held, "policy@v1", "zeros.bin", bytes(50_000_000))
    path = write(tmp_path / "x.zip", bomb, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert "is compressed and could unpack to any size" in refused(path)


def test_entries_that_share_their_bytes(held, tmp_path, refused):
    """The bomb without compression: many names for the same bytes."""
    data = b"z" * 1_000_000
    bomb = held
    for number in range(5):
        bomb = with_file(bomb, "policy@v1", f"zeros{number}", data)
    path = write(
        tmp_path / "x.zip", {name: b"" if "zeros" in name and "zeros0" not in name else held for name, held in bomb.items()}
    )
    raw = path.read_bytes()
    offsets = {}
    with zipfile.ZipFile(path) as archive:
        first = archive.getinfo("speedrun/policy/v1/zeros0")
        offsets = {info.filename: first for info in archive.infolist() if "zeros" in info.filename}
    out = bytearray(raw)
    at = raw.find(b"PK\x01\x02")
    while at >= 0:
        length = struct.unpack_from("<H", raw, at + 28)[0]
        name = raw[at + 46 : at + 46 + length].decode()
        if name in offsets:
            struct.pack_into("<III", out, at + 16, first.CRC, first.compress_size, first.file_size)
            struct.pack_into("<I", out, at + 42, first.header_offset)
        at = raw.find(b"PK\x01\x02", at + 4)
    path.write_bytes(bytes(out))
    assert "claims more bytes than its own" in refused(path)


def lie(path, name, field, value):
    """Write a number into the entry of `name` in the zip's list: 20 its size there, 24 its size."""
    raw = bytearray(path.read_bytes())
    at = raw.find(b"PK\x01\x02")
    while raw[at + 46 : at + 46 + len(name)] != name.encode():
        at = raw.find(b"PK\x01\x02", at + 4)
    struct.pack_into("<I", raw, at + field, value)
    path.write_bytes(bytes(raw))
    return path


@pytest.mark.parametrize(
    ("fields", "value", "said"),
    [((24,), 10**9, "claims"), ((20, 24), 10**9, "claims more"), ((20, 24), 0, "has 0 bytes and claims 1")],
)
def test_a_size_that_lies(held, tmp_path, refused, fields, value, said):
    path = write(tmp_path / "x.zip", held)
    for field in fields:
        lie(path, FILE, field, value)
    assert said in refused(path)


@pytest.mark.parametrize("size", [0, 2, 10**15, -1, True, "1", None])
def test_a_manifest_whose_size_lies(held, tmp_path, refused, size):
    line = refused(write(tmp_path / "x.zip", edit(held, "reward@v1", lambda told: told["files"][0].update(size=size))))
    assert "speedrun/reward/v1" in line


def test_other_bytes_than_the_manifest_says(held, tmp_path, refused):
    line = refused(write(tmp_path / "x.zip", {**held, FILE: b"R"}))
    assert f"{FILE} has another sha256" in line


def test_a_manifest_other_than_the_index_says(held, tmp_path, refused):
    line = refused(
        write(tmp_path / "x.zip", edit(held, "reward@v1", lambda told: told.update(metrics={"score": 1.0}), index=False))
    )
    assert f"{MANIFEST} has another sha256 than the index" in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 9}, "schema 9"),
        ({"digest": "0" * 64}, "digest that is not that of its files"),
        ({"fingerprint": "../../../../etc"}, "fingerprint"),
        ({"stage": "../x"}, "cannot be"),
        ({"stage": "v3"}, "cannot be"),
        ({"pipeline": ".work"}, "cannot be"),
        ({"stage": "other"}, "manifest of other@v1"),
        ({"version": 2}, "manifest of reward@v2"),
        ({"version": 10**17}, "is of version"),
        ({"version": True}, "is of version"),
        ({"version": 0}, "is of version"),
        ({"metrics": {"x": float("nan")}}, "number that is none"),
        ({"parents": {"frames": {"version": 1, "digest": "0" * 64}}}, "comes from frames@v1, which is not before it"),
        ({"parents": {"policy": {"version": 1, "digest": "0" * 64, "ref": "policy@v1"}}}, "comes from policy@v1"),
        ({"parents": {"frames": {"version": 1, "digest": "0" * 64, "ref": "../../x"}}}, "comes from ../../x"),
        ({"parents": {"frames": 3}}, "not a manifest"),
        ({"files": {}}, "not a manifest"),
    ],
)
def test_a_manifest_that_is_wrong(held, tmp_path, refused, change, said):
    line = refused(write(tmp_path / "x.zip", edit(held, "reward@v1", lambda told: told.update(change))))
    assert MANIFEST in line and said in line


def test_a_file_that_is_listed_twice_or_is_the_manifest(held, tmp_path, refused):
    for name in ("deep/file.txt", "manifest.json"):
        changed = edit(held, "reward@v1", lambda told, name=name: told["files"].append({**told["files"][0], "name": name}))
        assert "twice, or without a hash" in refused(write(tmp_path / "x.zip", changed))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "of schema 2, expected emurl-export of schema 1"),
        ({"schema": None}, "of schema None"),
        ({"kind": "something"}, "'something'"),
        ({"artifacts": []}, "artifacts"),
        ({"artifacts": 5}, "artifacts"),
        ({"extra": 1}, "extra"),
        ({"ref": "frames@v1"}, "ends with policy@v1"),
    ],
)
def test_an_index_that_is_wrong(held, tmp_path, refused, change, said):
    line = refused(write(tmp_path / "x.zip", {**held, INDEX: json.dumps({**json.loads(held[INDEX]), **change}).encode()}))
    assert INDEX in line and said in line


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"kind": 1}', b"9" * 10_000])
def test_an_index_of_anything(held, tmp_path, refused, text):
    assert f"{INDEX} is not an index" in refused(write(tmp_path / "x.zip", {**held, INDEX: text}))


def test_an_order_that_no_lineage_has(held, tmp_path, refused):
    told = json.loads(held[INDEX])
    told["artifacts"][:2] = told["artifacts"][1::-1]
    assert "which is not before it" in refused(write(tmp_path / "x.zip", {**held, INDEX: json.dumps(told).encode()}))
    told = json.loads(held[INDEX])
    told["artifacts"].insert(0, told["artifacts"][0])
    assert "is in the index twice" in refused(write(tmp_path / "x.zip", {**held, INDEX: json.dumps(told).encode()}))


@pytest.mark.parametrize("name", [INDEX, MANIFEST, FILE])
def test_something_is_missing(held, tmp_path, refused, name):
    line = refused(write(tmp_path / "x.zip", {other: data for other, data in held.items() if other != name}))
    assert f"{name} is missing" in line


def test_something_more(held, tmp_path, refused):
    assert "speedrun/reward/v1/more is of no artifact" in refused(
        write(tmp_path / "x.zip", {**held, "speedrun/reward/v1/more": b""})
    )


def test_an_encrypted_entry(held, tmp_path, refused):
    path = write(tmp_path / "x.zip", held)
    raw = bytearray(path.read_bytes())
    at = raw.find(b"PK\x01\x02")
    struct.pack_into("<H", raw, at + 8, 1)
    path.write_bytes(bytes(raw))
    assert "is encrypted" in refused(path)


def test_a_list_of_entries_too_long_to_hold(held, tmp_path, refused, monkeypatch):
    path = write(tmp_path / "x.zip", {**held, **{f"{number}": b"" for number in range(100)}})
    monkeypatch.setattr(unbundle, "TEXT", 2_000)
    assert "is longer than" in refused(path)


def test_an_index_too_long_to_hold(held, tmp_path, refused, monkeypatch):
    path = write(tmp_path / "x.zip", {**held, INDEX: held[INDEX] + b" " * 200_000})
    monkeypatch.setattr(unbundle, "TEXT", 100_000)
    assert f"{INDEX} has" in refused(path)


def test_cut_off_anywhere(held, tmp_path):
    whole = write(tmp_path / "whole.zip", held).read_bytes()
    path = tmp_path / "x.zip"
    for length in [*range(0, 60, 7), *range(60, len(whole), len(whole) // 25), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"x.zip: is damaged or cut off"):
            take_in(Store(tmp_path / "store"), path)
    assert not (tmp_path / "store").exists()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_byte_changed_anywhere_is_refused_or_does_not_matter(tmp_path_factory, held, data):
    folder = tmp_path_factory.mktemp("byte")
    raw = bytearray(write(folder / "x.zip", held).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (folder / "x.zip").write_bytes(bytes(raw))
    store = Store(folder / "store")
    try:
        take_in(store, folder / "x.zip")
    except InputError as error:
        assert "\n" not in str(error) and store.all() == []
        assert not [path for path in folder.rglob("*") if path.is_file() and path.name != "x.zip"]
    else:  # a time, a comment, a mode: what no file's hash covers and no name says
        assert store.verify() == [] and [one.ref for one in store.all()] == ["frames@v1", "policy@v1", "reward@v1"]
