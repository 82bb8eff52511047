"""A pipeline is one folder: with nothing else touched, command line, config, store, flow and docs know it."""

import json

import pytest
import yaml

from tests.fixtures.house import House, build_house

TABLE = '''"""`toy`: counts, and adds up."""

from emurl.core.pipeline import Pipeline, Stage

PIPELINE = Pipeline(
    name="toy",
    summary="count, and add up",
    module=__name__,
    stages=(
        Stage("count", (), "numbers", "write down numbers"),
        Stage("total", ("count",), "sum", "add the numbers up"),
    ),
    shared=("seed",),
)
'''
COUNT = '''"""`count`: numbers."""

from emurl.core.settings import Natural, Positive, Settings

METRICS = {"numbers": "how many there are"}


class CountSettings(Settings):
    """`count`: how many numbers."""

    seed: Natural = 0
    numbers: Positive = 3  # how many are written down


def run(settings: CountSettings, inputs, output, tracker) -> None:
    """Write them down."""
    output.path("numbers.txt").write_text(" ".join(str(settings.seed + n) for n in range(settings.numbers)))
    output.metrics["numbers"] = settings.numbers
'''
TOTAL = '''"""`total`: their sum."""

from emurl.core.settings import Settings

METRICS = {"sum": "of the numbers"}
FACTOR = 1


class TotalSettings(Settings):
    """`total`: times what."""

    times: int = 1  # the factor


def run(settings: TotalSettings, inputs, output, tracker) -> None:
    """Add them up."""
    numbers = map(int, inputs["count"].path("numbers.txt").read_text().split())
    output.metrics["sum"] = sum(numbers) * settings.times * FACTOR
    output.path("sum.txt").write_text(str(output.metrics["sum"]))
'''


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> House:
    house = build_house(tmp_path_factory.mktemp("house"))
    house.add("emurl/pipelines/toy/__init__.py", TABLE)
    house.add("emurl/pipelines/toy/count.py", COUNT)
    house.add("emurl/pipelines/toy/total.py", TOTAL)
    house.add("configs/toy.yaml", "# Count, and add up.\npipeline: toy\nseed: 5\ntracking: {tensorboard: false, wandb: false}\n")
    return house


def test_the_command_line_runs_it_and_the_store_keeps_it_apart(house):
    assert "toy: count, total" in house.emurl("run", "--help").replace("\n" + " " * 24, " ")
    rows = json.loads(house.emurl("run", "--config", "configs/toy.yaml", "--json"))
    assert [(row["ref"], row["metrics"]) for row in rows] == [("toy/count@v1", {"numbers": 3}), ("toy/total@v1", {"sum": 18})]
    assert (house.folder / "data/toy/total/v1/manifest.json").exists()
    listed = {row["ref"]: row["parents"] for row in json.loads(house.emurl("artifacts", "list", "--json"))}
    assert listed == {"toy/count@v1": {}, "toy/total@v1": {"count": "toy/count@v1"}}
    assert json.loads(house.emurl("artifacts", "show", "toy/total", "--json"))["metrics"] == {"sum": 18}
    again = json.loads(house.emurl("run", "total", "--config", "configs/toy.yaml", "--set", "total.times=2", "--json"))
    assert [(row["ref"], row["metrics"]["sum"]) for row in again] == [("toy/total@v2", 36)]
    assert "sum" in house.emurl("compare", "toy/total@v1", "toy/total@v2")
    assert "'counts'" in house.emurl("run", "counts", "--config", "configs/toy.yaml", code=2)
    refused = house.emurl("run", "--config", "configs/toy.yaml", "--set", "total.time=2", code=2)
    assert "unknown key total.time; did you mean times?" in refused


def test_a_comment_reruns_nothing_and_a_constant_the_stage_and_its_children(house):
    words = ("run", "--config", "configs/toy.yaml", "--store", "other", "--json")
    house.emurl(*words)

    def skipped():
        return [row["skipped"] for row in json.loads(house.emurl(*words))]

    count, total = (house.folder / f"emurl/pipelines/toy/{name}.py" for name in ("count", "total"))
    count.write_text("# A remark.\n" + COUNT.replace("Write them down.", "Write all of them down."))
    assert skipped() == [True, True]
    total.write_text(TOTAL.replace("FACTOR = 1", "FACTOR = 10"))
    assert skipped() == [True, False]
    count.write_text(COUNT.replace('" ".join', '"  ".join'))
    assert skipped() == [False, False]
    count.write_text(COUNT)
    total.write_text(TOTAL)
    assert skipped() == [True, True]


def test_a_deployment_is_made_of_its_settings_file(house):
    done = house.run("-c", "from pathlib import Path; from flows.deployments import prefect_yaml; print(prefect_yaml(Path('.')))")
    deployment, count, total, sweep = yaml.safe_load(done.stdout)["deployments"]
    assert [one["name"] for one in (count, total, sweep)] == ["toy-count", "toy-total", "sweep"]
    assert total["parameters"] == {"config": "configs/toy.yaml", "stages": ["total"], "force": True}
    assert (deployment["name"], deployment["description"], deployment["tags"]) == ("toy", "Count, and add up.", ["toy"])
    assert deployment["parameters"] == {"config": "configs/toy.yaml"}


@pytest.mark.slow
def test_the_flow_runs_it(house, tmp_path):
    done = house.run(
        "-m", "flows.pipeline", "--config", "configs/toy.yaml", "--set", "store=flowing", PREFECT_HOME=str(tmp_path),
        PREFECT_LOGGING_LEVEL="ERROR", PREFECT_SERVER_LOGGING_LEVEL="CRITICAL",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sum 18" in done.stdout
