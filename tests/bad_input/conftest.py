"""The stores and the exported file that kinds of bad input damage copies of, made once."""

import pytest

from tests.bad_input.shelf import fill


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelf")
    fill(folder)
    return folder


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
