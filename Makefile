# Two commands matter: `make up` and `make test`. They need python3 (3.11 to 3.13) and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
CODE := queue_pipeline queue_pipeline_tests $(wildcard benchmarks)

.DEFAULT_GOAL := help
.PHONY: help up test check format bench lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/installed ## install if need be, start everything, show the logs until Ctrl-C
	@exec $(BIN)/queue-pipeline up

test: check ## everything that CI runs: the checks, then all tests
	$(BIN)/python -m pytest -n 4 --dist loadgroup --max-worker-restart 0 --durations 20

check: $(VENV)/installed-dev ## lint, format, types, import contracts (no tests)
	$(BIN)/ruff check --quiet $(CODE)
	$(BIN)/ruff format --quiet --check $(CODE)
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.out || { cat $(VENV)/lint-imports.out; exit 1; }

format: $(VENV)/installed-dev ## let ruff format and fix what it can
	$(BIN)/ruff check --quiet --fix $(CODE) || true
	$(BIN)/ruff format --quiet $(CODE)

bench: $(VENV)/installed-dev ## measure the drain against the bare SQL loop
	$(BIN)/python -m benchmarks.throughput

# The locks name versions and hashes, never an index. Add UPGRADE=--upgrade to move to the newest versions.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --extra build $(UPGRADE)
# What is true of every machine that we support need not be said of every package.
EVERYWHERE := s/python_full_version < '3.14' and //; s/platform_python_implementation == 'CPython' and sys_platform == 'linux' //; s/ (and|;)( .)$$/\2/
lock: $(VENV)/installed-dev ## write the lock files anew from pyproject.toml
	$(LOCK) --extra dev --output-file requirements-dev.lock
	$(LOCK) --constraint requirements-dev.lock --output-file requirements.lock
	$(LOCK) --constraint requirements-dev.lock --extra k8s --extra llm --output-file deploy/requirements.lock
	sed -E -i "$(EVERYWHERE)" requirements-dev.lock requirements.lock deploy/requirements.lock

clean: ## remove the environment and all caches (the data in .queue_pipeline stays)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# An environment with the development tools serves `up` as well.
$(VENV)/installed: requirements.lock pyproject.toml | $(BIN)/python
	@if [ $(VENV)/installed-dev -nt requirements-dev.lock ] && [ $(VENV)/installed-dev -nt pyproject.toml ]; then :; else \
		echo "Installing the packages of requirements.lock (a minute or so, once) ..." && \
		$(PIP) install --root-user-action=ignore --require-hashes --no-deps -r requirements.lock && \
		$(PIP) install --root-user-action=ignore --no-deps --no-build-isolation --editable .; fi
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing the packages of requirements-dev.lock (a minute or so, once) ..."
	@$(PIP) install --root-user-action=ignore --require-hashes --no-deps -r requirements-dev.lock
	@$(PIP) install --root-user-action=ignore --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
		echo "queue-pipeline needs Python 3.11, 3.12 or 3.13; $(PYTHON) is `$(PYTHON) --version 2>&1`."; \
		echo "Name another interpreter: make up PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Creating the environment in $(VENV) with `$(PYTHON) --version` ..."
	@$(PYTHON) -m venv --clear $(VENV)
