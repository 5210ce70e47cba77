# `make demo` shows Footnote on a sample organization; `make test` and `make check` are what CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO_HOME := .footnote-demo
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo serve test test-deep check format bench clean

help:  ## Say what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

# Each stamp is newer than what it was installed from, so that nothing is installed twice.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Footnote needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test,check]'
	@touch $@

install: $(VENV)/.installed  ## Install Footnote into .venv

demo: $(VENV)/.installed  ## Ingest the sample organization, answer four questions, serve the page
	@$(BIN)/footnote --home $(DEMO_HOME) demo examples

serve: $(VENV)/.installed  ## Serve the home ./.footnote
	@$(BIN)/footnote serve

test: $(VENV)/.installed-dev  ## Every test but the slow sweeps, on SQLite and a real PostgreSQL
	$(PYTEST) -m "not deep"

test-deep: $(VENV)/.installed-dev  ## The slow sweeps: long property runs, every public evaluation set
	$(PYTEST) -m deep --timeout=3000

check: $(VENV)/.installed-dev  ## Lint, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## Put the code into its one shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev  ## Speed beside peers
	$(BIN)/footnote bench

clean:  ## Remove what was built (never a home)
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
