"""`prefect.yaml`, made of `configs/`: one deployment a settings file. `python -m flows.deployments` writes it anew."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import yaml

from emurl.core.config import load_config

HEAD = """\
# Made by `python -m flows.deployments` of the files in configs/; each file's first line is its description.
# A worker runs in the checkout it was deployed from: the store and the ROM lie there.
# prefect work-pool create emurl --type process; prefect deploy --all; prefect worker start --pool emurl
# then: prefect deployment run emurl/demo
"""


def prefect_yaml(root: Path) -> str:
    """The text of `prefect.yaml` for the settings files below `root`/configs."""
    deployments = []
    for file in sorted((root / "configs").glob("*.yaml")):
        config = load_config(file)
        first = file.read_text(encoding="utf-8").partition("\n")[0]
        deployments.append(
            {
                "name": file.stem.replace("_", "-"),
                "description": first.removeprefix("#").strip() if first.startswith("#") else f"the pipeline {config.pipeline}",
                "tags": [config.pipeline],
                "entrypoint": "flows/pipeline.py:emurl_flow",
                "work_pool": {"name": "emurl"},
                "parameters": {"config": f"configs/{file.name}"},
            }
        )
    document = {"name": "emurl", "prefect-version": version("prefect"), "deployments": deployments}
    return HEAD + str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=130))


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1]
    (here / "prefect.yaml").write_text(prefect_yaml(here), encoding="utf-8")
