"""The notebooks run from top to bottom on the store of the tiny pipeline, and are committed without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


def said(notebook: nbformat.NotebookNode) -> str:
    """Everything its cells printed."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_committed_without_outputs(file):
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.slow
def test_the_tour_runs(tiny, monkeypatch):
    monkeypatch.setenv("EMURL_STORE", str(tiny.store))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    notebook = nbformat.read(ROOT / "docs/notebooks/tour.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT / "docs/notebooks")}}).execute()
    text = said(notebook)
    for line in ("tokenizer@v1", "(6, 144, 160) uint8", "(6, 9, 10) of a vocabulary of 64", "(4, 144, 160) uint8"):
        assert line in text
    rows = [line.partition(" score ") for line in text.splitlines() if " score " in line]
    scores = {name.strip(): float(numbers.split()[0]) for name, _, numbers in rows}
    assert scores["noise"] > scores["footage"]
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum(output.output_type == "display_data" for output in outputs) == 3


def test_the_baseline_runs_where_nothing_was_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("EMURL_STORE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    notebook = nbformat.read(ROOT / "docs/notebooks/baseline.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT / "docs/notebooks")}}).execute()
    text = said(notebook)
    for line in ("(4, 84, 84) uint8", "explore", "update 3: reward", "holds no cnn, expected one", "random  returns"):
        assert line in text
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum(output.output_type == "display_data" for output in outputs) == 1
