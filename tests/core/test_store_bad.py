"""Stores that are not there, or not to be used: one line each, of the right kind, before any work, and soon."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from emurl import cli
from emurl.core import backends
from emurl.core.errors import EmurlError, InputError, WorkError
from emurl.core.store import Store
from tests.fixtures.store import make_bucket, put

CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def mute():
    """An endpoint that takes connections and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    server.close()


def refusals(store_url: str, kind: type[EmurlError], limit: float = 15.5) -> list[str]:
    """What every way of using a bad store says; all of the same kind, one line, naming the store."""
    said = []
    calls = {
        "open and probe": lambda: Store(store_url).probe(),
        "read probe": lambda: Store(store_url).probe(write=False),
        "all": lambda: Store(store_url).all(),
        "get": lambda: Store(store_url).get("reward"),
        "find": lambda: Store(store_url).find("speedrun", "reward", "f" * 64),
        "verify": lambda: Store(store_url).verify(),
        "making": lambda: Store(store_url).making("speedrun", "reward", "f" * 64).__enter__(),
    }
    for name, call in calls.items():
        began = time.monotonic()
        with pytest.raises(EmurlError) as caught:
            call()
        assert isinstance(caught.value, kind), (name, caught.value)
        line = str(caught.value)
        assert "\n" not in line and len(line) < 600 and "Traceback" not in line
        assert "expected" in line or "free some" in line, line
        assert time.monotonic() - began < limit
        said.append(line)
    return said


BUCKETS = ["missing", "missing/deep/prefix", "missing/trailing/"]


@pytest.mark.parametrize("path", BUCKETS)
@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_bucket_that_is_not_there(s3, scheme, path):
    url = f"{scheme}://{path}"
    if path == "missing":
        assert all("bucket does not exist" in line and url in line for line in refusals(url, InputError))
    with pytest.raises(InputError, match="bucket does not exist"):
        Store(url).probe()


@pytest.mark.parametrize(
    "url", ["foo://bucket/x", "s4://bucket/x", "://x", "3://x", "", "   ", "s3://", "s3:///x", "gs://bucket/x", "abfs://c/x"]
)
def test_a_url_that_nothing_opens(s3, url):
    with pytest.raises(InputError) as caught:
        Store(url).probe()
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)


@pytest.mark.parametrize("endpoint", [CLOSED, "http://localhost:9", "https://127.0.0.1:9", "http://emurl.invalid"])
def test_an_endpoint_that_is_dead(s3, monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    for write in (True, False):
        began = time.monotonic()
        with pytest.raises(WorkError, match="does not answer"):
            Store("s3://bucket/x").probe(write)
        assert time.monotonic() - began < 15.5
    if endpoint == CLOSED:
        with pytest.raises(WorkError, match="does not answer"):
            Store("s3://bucket/x").all()


@pytest.mark.parametrize(
    "words", [["artifacts", "list"], ["artifacts", "show", "reward"], ["artifacts", "gc"], ["run", "runs"], ["compare", "a", "b"]]
)
def test_no_word_takes_a_store_that_is_not_there_for_an_empty_one(s3, monkeypatch, capsys, words):
    monkeypatch.chdir(Path(__file__).parents[2])
    for endpoint, code, told in ((None, 2, "the bucket does not exist"), (CLOSED, 1, "the endpoint does not answer")):
        if endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert cli.main([*words, "--store", "s3://missing/x"]) == code
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1 and f"store s3://missing/x: {told}" in err


def test_a_proxy_that_is_none_is_named(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://emurl.invalid")
    monkeypatch.setenv("HTTP_PROXY", "http://[broken")
    began = time.monotonic()
    with pytest.raises(InputError, match=r"HTTP_PROXY: http://\[broken: no address"):
        Store("s3://bucket/x").probe()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("endpoint", ["not a url", "127.0.0.1:9", "http://"])
def test_an_endpoint_that_is_none(s3, monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(EmurlError) as caught:
        Store("s3://bucket/x").probe()
    assert "\n" not in str(caught.value) and "s3://bucket/x" in str(caught.value)


def test_an_endpoint_that_never_answers(s3, monkeypatch, mute):
    monkeypatch.setenv("AWS_ENDPOINT_URL", mute)
    monkeypatch.setattr(backends, "PROBE_S", 3.0)
    began = time.monotonic()
    with pytest.raises(WorkError, match="does not answer"):
        Store("s3://bucket/x").probe()
    assert time.monotonic() - began < 15.5


@pytest.mark.parametrize("gone", [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY",)])
def test_no_credentials(s3, monkeypatch, gone):
    url = make_bucket()
    for name in gone:
        monkeypatch.delenv(name)
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()
    for call in (Store(url).probe, Store(url).all):
        with pytest.raises(InputError, match="no credentials"):
            call()


def test_a_profile_that_is_not_there(s3, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(InputError, match="no credentials"):
        Store("s3://bucket/x").probe()


@pytest.mark.parametrize("denied", [("GET",), ("PUT",), ("PUT", "GET", "HEAD", "POST", "DELETE"), ("DELETE", "POST")])
def test_access_denied(s3, denied):
    url = make_bucket()
    s3.deny = denied
    try:
        with pytest.raises(InputError, match="access denied"):
            Store(url).probe()
        if "GET" in denied:
            for call in (lambda: Store(url).all(), lambda: Store(url).probe(write=False)):
                with pytest.raises(InputError, match="access denied"):
                    call()
        else:
            Store(url).probe(write=False)
    finally:
        s3.deny = ()


def test_a_store_that_does_not_create_conditionally(s3, monkeypatch):
    from moto.s3.responses import S3Response

    url = make_bucket()
    put_object = S3Response.put_object

    def careless(self):
        self.headers = {name: value for name, value in self.headers.items() if name.lower() != "if-none-match"}
        return put_object(self)

    monkeypatch.setattr(S3Response, "put_object", careless)
    with pytest.raises(InputError, match="conditionally"):
        Store(url).probe()


@pytest.mark.parametrize("url", ["s3://B/x", "s3://under_score!/x", "s3://a b/x"])
def test_a_name_that_no_bucket_has(s3, url):
    with pytest.raises(InputError) as caught:
        Store(url).probe()
    assert url in str(caught.value) and "\n" not in str(caught.value)


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["", "/below", "/far/below"])
def test_a_file_where_a_folder_should_be(tmp_path, tail):
    (tmp_path / "file").write_text("")
    for line in refusals(f"{tmp_path}/file{tail}", InputError):
        assert "file" in line
    with pytest.raises(InputError, match="expected a folder"):
        Store(f"{tmp_path}/file{tail}").probe()


def test_a_folder_that_is_not_there_is_an_empty_store(tmp_path):
    Store(tmp_path / "new").probe(write=False)
    assert Store(tmp_path / "new").all() == [] and not (tmp_path / "new").exists()


READ_ONLY = "/proc" if Path("/proc/self").exists() else None


@pytest.mark.skipif(READ_ONLY is None, reason="needs a file system that cannot be written")
@pytest.mark.parametrize("url", ["/proc/emurl", "/proc/emurl/deep", "/sys/emurl", "file:///proc/emurl"])
def test_a_folder_that_cannot_be_written(url):
    with pytest.raises(InputError, match="not writable"):
        Store(url).probe()
    with pytest.raises(InputError, match="not writable"), Store(url).making("speedrun", "reward", "f" * 64):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkError, match="the disk is full"):
        Store(tmp_path).probe()
    assert not list(tmp_path.iterdir())


def test_the_local_half_of_a_bucket_is_named(s3, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMURL_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="EMURL_CACHE"):
        Store(make_bucket()).probe()


def test_without_s3fs_it_says_what_to_install():
    program = "import sys; sys.modules['s3fs'] = None\nfrom emurl.core.store import Store\nStore('s3://bucket/x')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert "pip install 'emurl[s3]'" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("value", ["x", "-1", "0", "nan"])
def test_a_lease_time_that_is_none(tmp_path, monkeypatch, value):
    monkeypatch.setenv("EMURL_LEASE_S", value)
    with pytest.raises(InputError, match="EMURL_LEASE_S"):
        put(Store(tmp_path), "reward", "x")


def test_a_store_that_goes_away_while_it_is_read(s3, monkeypatch):
    store = Store(make_bucket())
    made = put(store, "reward", "x", files=2)
    s3.deny = ("GET", "HEAD")
    try:
        for call in (
            store.all,
            store.verify,
            lambda: store.get("reward"),
            lambda: store.versions("speedrun", "reward"),
            store.pipelines,
        ):
            with pytest.raises(InputError, match="access denied"):
                call()
        assert made.path("file1.txt").read_text() == "x"  # it is in the cache
    finally:
        s3.deny = ()


def test_no_thread_is_left_waiting(s3):
    Store(make_bucket()).probe()
    assert not [thread for thread in threading.enumerate() if thread.name == "store-probe"]


def test_what_cannot_be_removed_is_not_said_to_be_gone(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for text in "abc":
        put(store, "reward", text)
    with monkeypatch.context() as patch:

        def read_only(path, target):
            raise OSError(errno.EROFS, "Read-only file system")

        patch.setattr(Path, "rename", read_only)
        with pytest.raises(InputError, match=r"not writable \(Read-only file system\)"):
            store.gc(keep=1)
    assert store.versions("speedrun", "reward") == [1, 2, 3]
    assert store.gc(keep=1) == ["reward@v1", "reward@v2"]
    assert [path.name for path in (tmp_path / ".work").glob("*")] == []
