"""Tags: a version by a name of its own, wherever a version is named, and kept while it has one."""

import json

import pytest

from emurl import cli
from emurl.core.engine import pinned
from emurl.core.errors import InputError
from emurl.core.pipeline import find_pipeline
from emurl.core.store import Store
from emurl.core.tags import every_tag, is_tag, remove_tag, set_tag, tags_of
from tests.fixtures.store import put


def test_a_tag_means_a_version_until_it_is_given_to_another(store):
    first, second = put(store, "policy", "one"), put(store, "policy", "two")
    assert set_tag(store, first, "best") is None
    assert store.get("policy@best").ref == store.get("speedrun/policy@best").ref == "policy@v1"
    assert Store(str(store.url)).get("policy@best").digest == first.digest  # another process
    assert set_tag(store, second, "best") == "policy@v1"
    assert store.get("policy@best").ref == "policy@v2" and store.get("policy").ref == "policy@v2"
    set_tag(store, first, "old.one")
    assert every_tag(store) == {"policy@v1": ["old.one"], "policy@v2": ["best"]}
    remove_tag(store, "speedrun", "policy", "best")
    assert list(tags_of(store, "speedrun", "policy")) == ["old.one"]
    assert store.verify() == [] and store.stages() == ["policy"]


def test_each_pipeline_has_its_own(near):
    set_tag(near, put(near, "league", "a", pipeline="vgc"), "best")
    put(near, "league", "b")
    assert near.get("vgc/league@best").ref == "vgc/league@v1"
    with pytest.raises(InputError, match=r"league@best.*expected one of v1$"):
        near.get("league@best")


@pytest.mark.parametrize("name", ["latest", "v1", "v", "3", "Best", "a/b", "..", ".x", "", "a b", "é", "x" * 65, "-x"])
def test_what_means_something_else_is_no_tag(tmp_path, name):
    assert not is_tag(name)
    store = Store(tmp_path)
    with pytest.raises(InputError, match="no name for one"):
        set_tag(store, put(store, "policy", "x"), name)
    assert every_tag(store) == {}


def test_gc_keeps_a_tagged_version_and_all_it_came_from(near):
    store = near
    frames = [put(store, "frames", f"f{n}") for n in range(4)]
    policies = [put(store, "policy", f"p{n}", {"frames": frames[n]}) for n in range(4)]
    set_tag(store, policies[1], "best")
    gone = ["frames@v1", "frames@v3", "policy@v1", "policy@v3"]
    assert sorted(store.gc(keep=1, dry_run=True)) == gone
    assert store.versions("speedrun", "policy") == [1, 2, 3, 4]
    assert sorted(store.gc(keep=1)) == gone
    assert store.get("policy@best").ref == "policy@v2" and store.verify() == []


def test_a_tag_given_while_gc_removes_others_counts(near, monkeypatch):
    store = near
    versions = [put(store, "policy", f"p{n}") for n in range(4)]
    remove = store.remove

    def remove_and_name_another(artifact):
        remove(artifact)
        set_tag(store, versions[2], "best")

    monkeypatch.setattr(store, "remove", remove_and_name_another)
    assert store.gc(keep=1) == ["policy@v1", "policy@v2"]
    assert store.versions("speedrun", "policy") == [3, 4]


def test_a_tag_of_what_is_gone_says_so(near):
    store = near
    artifact = put(store, "policy", "one")
    put(store, "policy", "two")
    set_tag(store, artifact, "best")
    store.remove(artifact)
    with pytest.raises(InputError, match="policy@best: means policy@v1, which is not in the store"):
        store.get("policy@best")
    with pytest.raises(InputError, match="no such version"):  # and none is given to it
        set_tag(store, artifact, "other")
    assert list(tags_of(store, "speedrun", "policy")) == ["best"]


def test_a_tag_never_means_other_content_of_its_number(tmp_path):
    store, other = Store(tmp_path / "a"), Store(tmp_path / "b")
    set_tag(store, put(store, "policy", "one"), "best")
    put(other, "policy", "two")
    (tmp_path / "a/speedrun/policy/v1").rename(tmp_path / "away")
    (tmp_path / "b/speedrun/policy/v1").rename(tmp_path / "a/speedrun/policy/v1")
    with pytest.raises(InputError, match="policy@best: means policy@v1"):
        Store(tmp_path / "a").get("policy@best")


@pytest.mark.parametrize("written", [b"", b"[]", b'{"version": "x", "digest": 1}', b"\xff"])
def test_a_damaged_tag_is_none(tmp_path, written):
    store = Store(tmp_path)
    put(store, "policy", "one")
    store.objects.put(".tags/speedrun/policy/best.json", written)
    store.objects.put(".tags/speedrun/policy/Other thing.json", b"{}")
    assert tags_of(store, "speedrun", "policy") == {}
    with pytest.raises(InputError, match=r"policy@best: .* holds no such version"):
        store.get("policy@best")


def test_an_input_is_pinned_by_its_tag(tmp_path):
    store, pipeline = Store(tmp_path), find_pipeline("speedrun")
    set_tag(store, put(store, "reward", "one"), "best")
    put(store, "reward", "two")
    stages = pipeline.choose(["behavior"])
    assert pinned(["reward@best"], stages, pipeline, store)["reward"].ref == "reward@v1"


def test_the_words(tmp_path, capsys):
    store = Store(tmp_path)
    put(store, "policy", "one"), put(store, "policy", "two")

    def say(*words):
        code = cli.main([*words, "--store", str(tmp_path)])
        out, err = capsys.readouterr()
        return code, out.strip(), err.strip()

    assert say("artifacts", "tag", "policy@v1", "best") == (0, "policy@best is policy@v1", "")
    assert say("artifacts", "tag", "policy", "best") == (0, "policy@best is policy@v2 (was policy@v1)", "")
    code, out, _ = say("artifacts", "tag", "policy@1", "best", "--json")
    assert json.loads(out) == {"tag": "best", "ref": "policy@v1", "before": "policy@v2"}
    code, out, _ = say("artifacts", "list", "--json")
    assert [row["tags"] for row in json.loads(out)] == [["best"], []]
    assert "@best" in say("artifacts", "list")[1].splitlines()[0]
    assert say("compare", "policy@best", "policy")[0] == say("artifacts", "show", "policy@best")[0] == 0
    code, out, err = say("artifacts", "tag", "policy", "Best")
    assert (code, out) == (2, "") and "no name for one" in err and len(err.splitlines()) == 1
    assert say("artifacts", "tag", "policy", "best", "--remove")[0] == 0
    code, _, err = say("artifacts", "tag", "policy", "best", "--remove")
    assert code == 2 and "no version of policy" in err
    assert say("artifacts", "tag", "policy@v9", "best")[0] == 2
