"""A table: what its rows may be called, what they may read, and what is said of a module that is not there."""

import pytest

from emurl.core.config import Config
from emurl.core.errors import InputError
from emurl.core.pipeline import TAKEN, Pipeline, Stage


def table(*stages: Stage, name: str = "odd", shared: tuple[str, ...] = ("seed", "screen")) -> Pipeline:
    return Pipeline(name=name, summary="odd", module="odd", stages=stages, shared=shared)


def row(name: str, *parents: str) -> Stage:
    return Stage(name, parents, "n", "a row")


@pytest.mark.parametrize(
    "name",
    ["store", "seed", "tracking", "pipeline", "device", "files", "modules", "copy", "model_dump", "fingerprint_values", "screen"],
)
def test_a_name_that_settings_have_for_something_else_is_refused(name):
    with pytest.raises(InputError, match=f"pipeline odd: stage '{name}': settings have something else of that name"):
        table(row(name))


def test_every_name_of_a_settings_file_is_taken():
    assert {*Config.model_fields, *dir(Config)} <= TAKEN


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([row("_x")], "stage '_x': not a name"),
        ([row("my stage")], "stage 'my stage': not a name"),
        ([row("v1")], "stage 'v1': a version is called so"),
        ([row("one"), row("one")], "stage 'one': two rows are called so"),
        ([row("one", "nobody")], "parent 'nobody' is no row of the table, expected one of the rows above: none"),
        ([row("one", "two"), row("two")], "stage 'one': its parent 'two' stands below it"),
        ([row("one", "one")], "stage 'one': its parent 'one' is itself"),
        ([row("one"), row("two", "one", "odd/one")], "stage 'two': its parent odd/one stands there twice"),
        ([row("one", "a b/c")], "its parent 'a b/c' is no name"),
    ],
)
def test_rows_that_collide_are_refused_in_one_line(stages, said):
    with pytest.raises(InputError) as caught:
        table(*stages)
    assert said in str(caught.value) and "expected" in str(caught.value)


def test_a_pipeline_is_called_by_a_name():
    with pytest.raises(InputError, match="pipeline 'a/b': not a name"):
        table(name="a/b")


def test_a_parent_of_the_own_pipeline_may_be_written_either_way():
    assert table(row("one"), row("two", "odd/one")).by_name["two"].parents == ("one",)


def test_parents_are_found_under_their_names_and_two_of_one_name_as_the_row_writes_them():
    judge = table(row("one"), row("two"), row("judge", "one", "two", "toy/one", "vgc/three")).by_name["judge"]
    assert judge.inputs == {"one": "one", "two": "two", "toy/one": "toy/one", "three": "vgc/three"}
