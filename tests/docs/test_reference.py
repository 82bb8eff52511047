"""The reference pages are those the code gives today, and nothing in them is left unsaid."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from emurl.core.config import Config
from emurl.core.registry import discover
from emurl.core.settings import NOT_IN_FINGERPRINT, Positive, Settings, Share
from emurl.core.store import Store
from tools import reference
from tools.settings_fields import fields_of

ROOT = Path(__file__).resolve().parents[2]
STAGES = [(pipeline, stage) for pipeline in discover("pipelines").values() for stage in pipeline.stages]
NAMES = [f"{pipeline.name}/{stage.name}" for pipeline, stage in STAGES]


@pytest.mark.parametrize("name", ["settings.md", "metrics.md", "cli.md"])
def test_the_committed_page_is_the_generated_one(name):
    assert (ROOT / "docs" / name).read_text() == reference.pages()[name], "run `make docs`"


def test_checking_says_which_page_is_out_of_date(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "pages", lambda: {"one.md": "new", "two.md": "same"})
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/one.md").write_text("old")
    (tmp_path / "docs/two.md").write_text("same")
    assert reference.main(["--check"]) == 1
    assert "docs/one.md is out of date" in capsys.readouterr().err
    (tmp_path / "docs/one.md").write_text("new")
    assert reference.main(["--check"]) == 0


def test_every_field_says_what_it_means():
    fields = [*fields_of(Config), *(field for _, stage in STAGES for field in fields_of(stage.settings, stage.name))]
    assert [field.key for field in fields if not field.meaning] == []


@pytest.mark.parametrize(("pipeline", "stage"), STAGES, ids=NAMES)
def test_every_metric_is_told_and_its_baseline_too(pipeline, stage):
    told = reference.metrics_of(stage.module)
    assert stage.headline in told
    for name, text in told.items():
        _, meaning, beside = reference.split_metric(text)
        assert meaning, name
        for other in re.findall(r"`(\w+)`", beside):
            assert any(fnmatch(other, one) for one in told), f"{name} stands beside {other}, which is not told of"


@pytest.mark.slow
def test_a_run_publishes_only_what_is_told(tiny):
    artifacts = Store(tiny.store).all()
    assert {artifact.stage for artifact in artifacts} == {stage.name for pipeline, stage in STAGES if pipeline.name == "speedrun"}
    for artifact in artifacts:
        module = discover("pipelines")[artifact.pipeline].by_name[artifact.stage].module
        told = reference.metrics_of(module)
        assert [name for name in artifact.metrics if not any(fnmatch(name, one) for one in told)] == []


class Inner(Settings):
    """What is inside."""

    deep: Share = 0.5  # how deep


class Some(Settings):
    """Fields of all kinds."""

    renamed: ClassVar[dict[str, str]] = {"old": "count"}

    count: Positive = 3  # how many
    # A remark of two lines
    # above the field.
    kind: Literal["a", "b"] = "a"
    rate: Annotated[float, Field(ge=0, lt=1)] = 1e-5
    place: Annotated[str | None, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = None  # where
    inner: Inner = Inner()
    names: tuple[str, ...] = ()


class More(Some):
    """One default is another."""

    count: Positive = 4


def test_a_field_is_told_with_type_default_range_and_the_comment_beside_it():
    rows = {field.key: field for field in fields_of(Some, "s")}
    assert list(rows) == ["s.count", "s.kind", "s.rate", "s.place", "s.inner.deep", "s.names"]
    count = rows["s.count"]
    assert (count.kind, count.default, count.range, count.meaning, count.fingerprint) == ("int", "3", "> 0", "how many", "yes")
    kind = rows["s.kind"]
    assert (kind.kind, kind.default, kind.meaning) == ("`a` or `b`", "`a`", "A remark of two lines above the field.")
    assert (rows["s.rate"].default, rows["s.rate"].range, rows["s.rate"].meaning) == ("1e-05", "≥ 0, < 1", "")
    assert (rows["s.place"].kind, rows["s.place"].default, rows["s.place"].fingerprint) == ("str or none", "none", "no")
    assert (rows["s.inner.deep"].range, rows["s.inner.deep"].meaning) == ("0 … 1", "how deep")
    assert rows["s.names"].kind == "tuple[str, …]"
    more = next(fields_of(More))
    assert (more.default, more.meaning) == ("4", "how many")


def test_the_page_of_the_command_line_has_every_word_and_option():
    page = reference.cli_page()
    for word in ("run", "artifacts list", "artifacts gc", "bench", "doctor", "compare", "play"):
        assert f"`emurl {word}`" in page
    assert "`--set KEY=VALUE`" in page
    assert "emurl compare REF [REF ...]" in page


@pytest.mark.slow
def test_the_docs_build_without_a_warning(tmp_path):
    docs = tmp_path / "docs"
    assert subprocess.run([sys.executable, "-m", "tools.reference"], cwd=ROOT).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees"), "docs", str(docs)],
        cwd=ROOT, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for page in ("index", "architecture", "settings", "metrics", "cli", "api/core", "api/rewards", "howto/add-an-agent"):
        assert (docs / f"{page}.html").exists(), page
    assert "OODDetector" in (docs / "api/rewards.html").read_text()
    # Nothing is loaded from elsewhere when a page is opened.
    index = (docs / "index.html").read_text()
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', index)
