"""Deployments, made of `configs/` and the tables: one a settings file, one a stage, and the sweep. `python -m flows.deployments` writes them.

prefect.yaml                  a process pool: the worker runs in the checkout
deploy/<pool>/prefect.yaml    docker, kubernetes, ecs: the same deployments in the image of `deploy/Dockerfile`; the pool is `pool.json` there
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from emurl.core.artifact import DEFAULT_PIPELINE
from emurl.core.config import load_config
from emurl.core.errors import InputError
from emurl.core.pipeline import Pipeline, Stage, find_pipeline

POOLS = ("docker", "kubernetes", "ecs")  # beside the process pool
CHECKOUT = "/emurl"  # in the image
SWEEP_EVERY_S = 120.0
HEARTBEAT_S = 60  # of a deployed run
HEAD = """\
# Made by `python -m flows.deployments` of configs/ and the pipelines' tables. A settings file's first line is its description.
"""
PROCESS = """\
# A worker runs in the checkout it was deployed from: the store and the ROM lie there.
# prefect work-pool create emurl --type process; prefect deploy --all; prefect worker start --pool emurl
# then: prefect deployment run emurl/demo
"""
IMAGE = """\
# A worker starts containers of the image that deploy/Dockerfile makes; the store has to be one that all of them reach.
# prefect work-pool create emurl-{pool} --type {pool} --base-job-template deploy/{pool}/pool.json
# prefect deploy --all --prefect-file deploy/{pool}/prefect.yaml; prefect worker start --pool emurl-{pool}
"""


def prefect_yaml(root: Path, pool: str = "process") -> str:
    """The text of the `prefect.yaml` of a pool for the settings files below `root`/configs.

    Raises:
        InputError: a settings file is wrong, or two deployments would have one name.
    """
    deployments: list[dict[str, Any]] = []
    first: dict[str, str] = {}  # settings file of each pipeline, with which a stage is run alone: that of its demo, if it has one
    tables: dict[str, Pipeline] = {}
    for file in sorted((root / "configs").glob("*.yaml")):
        config = load_config(file)
        place = f"configs/{file.name}"
        table = tables[config.pipeline] = find_pipeline(config.pipeline)
        if table.name not in first or file.stem.endswith("demo"):
            first[table.name] = place
        head = file.read_text(encoding="utf-8").partition("\n")[0]
        told = head.removeprefix("#").strip() if head.startswith("#") else f"the pipeline {table.name}"
        deployments.append(_flow(file.stem.replace("_", "-"), told, [table.name], {"config": place}))
    for name, table in tables.items():
        for stage in table.stages:
            own = deployment_name(table, stage)
            parameters = {"config": first[name], "stages": [stage.name], "force": True}
            deployments.append(_flow(own, f"{stage.summary} (this stage alone)", [name, "stage"], parameters))
    names = [one["name"] for one in deployments]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"configs/{twice}.yaml: there is a stage of that name, expected another for its deployment")
    deployments.append(
        {
            "name": "sweep",
            "description": "mark runs whose process is gone as crashed",
            "entrypoint": "flows/stale.py:sweep_flow",
            "schedules": [{"interval": SWEEP_EVERY_S}],
            # Of those that were missed few are enough; one that died with its worker must not hold back the others.
            "concurrency_limit": {"limit": 3, "collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
        }
    )
    for one in deployments:
        work_pool: dict[str, Any] = {"name": "emurl" if pool == "process" else f"emurl-{pool}"}
        if one["name"] != "sweep":
            work_pool["job_variables"] = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S)}}
        one["work_pool"] = work_pool
    document: dict[str, Any] = {"name": "emurl", "prefect-version": version("prefect")}
    if pool != "process":
        document["pull"] = [{"prefect.deployments.steps.set_working_directory": {"directory": CHECKOUT}}]
    head = HEAD + (PROCESS if pool == "process" else IMAGE.format(pool=pool))
    dumped = yaml.dump(document | {"deployments": deployments}, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=130)
    return head + str(dumped)


def deployment_name(pipeline: Pipeline, stage: Stage) -> str:
    """What the deployment of one stage is called, as a ref names it: `reward`, or `vgc-league` for another pipeline than speedrun."""
    own = stage.name if pipeline.name == DEFAULT_PIPELINE else f"{pipeline.name}-{stage.name}"
    return own.replace("_", "-")


class _Plain(yaml.SafeDumper):
    """Without anchors: what several deployments share is written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _flow(name: str, description: str, tags: list[str], parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "tags": tags,
        "entrypoint": "flows/pipeline.py:emurl_flow",
        "parameters": parameters,
    }


def files(root: Path) -> dict[Path, str]:
    """Every file of deployments with its text."""
    made = {root / "prefect.yaml": prefect_yaml(root)}
    return made | {root / "deploy" / pool / "prefect.yaml": prefect_yaml(root, pool) for pool in POOLS}


if __name__ == "__main__":
    for file, text in files(Path(__file__).resolve().parents[1]).items():
        if file.parent.is_dir():  # a checkout without deploy/ has its process pool
            file.write_text(text, encoding="utf-8")
