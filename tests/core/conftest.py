"""An S3 server on loopback for the tests of the store: the environment names it, and its gate is the fixture."""

import uuid

import pytest

from emurl.core.store import Store
from tests.fixtures.store import CREDENTIALS, make_bucket, s3_server


@pytest.fixture(scope="module")
def s3():
    with pytest.MonkeyPatch.context() as patch, s3_server() as (url, gate):
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": url}.items():
            patch.setenv(name, value)
        yield gate


@pytest.fixture(autouse=True)
def _no_connection_of_another_test():
    """fsspec keeps connections with the endpoint and the credentials they were made with."""
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request, tmp_path):
    if request.param == "folder":
        return Store(tmp_path / "store")
    if request.param == "memory":
        return Store(f"memory://{uuid.uuid4().hex}/store")
    request.getfixturevalue("s3")
    return Store(make_bucket())


@pytest.fixture(params=["folder", "memory"])
def near(request, tmp_path):
    """The same code as for S3 but for the requests themselves, and quick."""
    return Store(tmp_path / "store" if request.param == "folder" else f"memory://{uuid.uuid4().hex}/store")
