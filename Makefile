# Everything a contributor runs; CI runs the same. Needs Python >= 3.11 and make, nothing else.
#
#   make run      start the park with its simulated devices (ARGS="--port 9000" is passed on)
#   make test     every test but the long ones        (ARGS="tests/unit -k battery" narrows)
#   make check    lint, format, types, layers, house rules
#   make bench    measure, print figures as JSON      (ARGS="storage" narrows)
#   make soak     the long and the large tests
#   make lock     redo the lock files                 (ARGS="--upgrade" takes newer versions)
#   make clean    remove what these targets made; the park's own data (.parkgrid) stays

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --group build
ARGS ?=

.PHONY: help run test check bench soak lock clean servers

help:
	@sed -n 's/^#   //p' Makefile

run: $(VENV)/.runtime
	@$(BIN)/parkgrid up $(ARGS)

test: $(VENV)/.dev servers
	@$(BIN)/python -m pytest -m "not soak" $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/architecture

bench: $(VENV)/.dev servers
	@$(BIN)/python tests/benchmarks/run.py $(ARGS)

soak: $(VENV)/.dev servers
	@$(BIN)/python -m pytest -m soak $(ARGS)

# Real brokers and Redis for the tests that want them; without them those tests skip by name.
servers:
	@.ci/install-servers

lock: $(VENV)/.dev
	@$(PIP) install uv
	$(LOCK) $(ARGS) pyproject.toml -o requirements.lock
	$(LOCK) $(ARGS) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) build dist out parkgrid.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Parkgrid needs Python >= 3.11; name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making a Python environment in $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "Python's venv is missing; on Debian: apt install python3-venv" >&2; exit 1; }

# The development lock holds everything the runtime lock does, so it serves for both.
$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing Parkgrid and its tools from requirements-dev.lock (again only when it changes)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.runtime

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing Parkgrid from requirements.lock (again only when it changes)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
