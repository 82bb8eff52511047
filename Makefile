# Two commands for a newcomer: `make demo` and `make test`. Everything goes into .venv; nothing else is touched.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Prefect keeps its server's database here, so that a demo never meets the user's own deployments.
export PREFECT_HOME ?= $(CURDIR)/.prefect
export PREFECT_LOGGING_LEVEL ?= WARNING
export PREFECT_SERVER_LOGGING_LEVEL ?= CRITICAL

.PHONY: demo test test-slow lint setup clean help docs
help:            ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(STAMP)  ## install into .venv

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "emurl needs Python >= 3.11, $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'torch==2.13.0'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $@

demo: $(STAMP)   ## the main job on the embedded game, through the Prefect flow
	$(BIN)/python -m flows.pipeline --config configs/demo.yaml --end-with-parent

lint: $(STAMP)   ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint       ## lint, types and every test that is not long
	$(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist loadfile $(PYTEST)

test-slow: $(STAMP) ## the long tests: kills, races, studies, the README's tiny demo
	$(BIN)/python -m pytest -m "slow and not gpu" -n 2 --dist loadfile $(PYTEST)

docs: $(STAMP)   ## the reference pages from the code, and HTML of docs/ in docs/_build
	$(BIN)/python -m tools.reference
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

clean:           ## remove .venv and caches, never data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build docs/_build docs/api *.egg-info
