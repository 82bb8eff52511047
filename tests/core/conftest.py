"""An S3 server on loopback for the tests of the store: the environment names it, and its gate is the fixture."""

import pytest

from tests.fixtures.store import CREDENTIALS, s3_server


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
