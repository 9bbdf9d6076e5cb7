PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
UV     := .cache/uv/bin/uv

.DEFAULT_GOAL := help
.PHONY: help install demo test check containers dashboards format bench lock clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## the locked dependencies and salepulse itself, in .venv

# Verified by the hashes of the lock; then salepulse itself, without further downloads.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "salepulse needs Python 3.11 or newer: make install PYTHON=python3.x")'
	@echo "installing into $(VENV): this takes some minutes the first time"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install  ## a simulated sale on this machine, with its own broker and Redis
	$(BIN)/salepulse demo

test: install  ## all tests; ARGS="-m 'not kafka'" for those without Java
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: install  ## lint, format, types, architecture, language, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --package deploy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_exceptions.py tests/test_language.py \
	    tests/test_reference_docs.py tests/alerts/rules/test_schema.py tests/consumers/sources/test_schema.py

# The image is built on the way. Ends with the containers running; `docker compose -f deploy/compose.yaml down` stops them.
containers:  ## everything in containers, with a simulated sale: Grafana at http://127.0.0.1:3000
	$(PYTHON) deploy/compose/make_secrets.py
	docker compose -f deploy/compose.yaml --profile sale up --build --detach

dashboards: install  ## regenerate Grafana's dashboards from deploy/grafana
	$(BIN)/python -W ignore::DeprecationWarning -m deploy.grafana

format: install  ## put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## how much one machine carries
	$(BIN)/python -m tests.bench $(ARGS)

# For every supported Python, system and processor at once: markers tell them apart.
lock: $(UV)  ## write requirements.lock for pyproject.toml; ARGS=--upgrade for the newest versions it allows
	$(UV) pip compile pyproject.toml --all-extras $(ARGS) --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file requirements.lock --quiet
	$(UV) pip compile pyproject.toml --extra registry --constraint requirements.lock --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file deploy/requirements.lock --quiet

$(UV):
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check uv

clean:  ## what was made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
