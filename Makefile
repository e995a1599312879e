# Everything a contributor runs. Each target does its own set-up: a fresh clone needs Python 3.11 or newer, nothing else.

PYTHON ?= python3
BIN := .venv/bin
DATA ?= .spendgate
SEED ?= 1
RUNS ?= 200
UV := .venv/uv/bin/uv

.DEFAULT_GOAL := help
.PHONY: help demo up test lint types sim bench browser lock setup packages clean

help: ## list every target
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## replay a real LLM trace through the whole pipeline and reconcile its sums (about 3 minutes)
	$(BIN)/spendgate demo $(ARGS)

up: setup ## run Kafka, ClickHouse and every service here, until Ctrl-C (DATA=folder)
	$(BIN)/spendgate up --data $(DATA) $(ARGS)

test: setup lint types browser ## everything that CI checks: style, types, imports, and every test on real parts (ARGS=pytest options)
	$(BIN)/pytest $(ARGS)
	$(if $(ARGS),,SPENDGATE_PURE=1 $(BIN)/pytest tests/core tests/enforcer tests/sim -k "not every_seed")

lint: packages ## style, formatting, the direction of imports, and that no released event version breaks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m schemas.compat

types: packages ## mypy, strict
	$(BIN)/mypy

sim: setup ## simulate enforcers, ledger and network from seeds, and audit every step (SEED=1 RUNS=200)
	$(BIN)/python -m tests.sim --seed $(SEED) --runs $(RUNS)

bench: setup ## measure every stage against its floor; numbers go to build/bench.json
	$(BIN)/python -m tests.bench.run $(ARGS)

browser: ## find a Chromium for the tests of the console, or install one (root on Debian), or say what to do
	@for name in "$$SPENDGATE_CHROMIUM" chromium chromium-browser google-chrome google-chrome-stable; do \
	  command -v "$$name" >/dev/null 2>&1 && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium"; apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else \
	  echo "The console is tested in a real browser, and there is none: install Chromium (Debian: apt-get install"; \
	  echo "chromium; macOS: brew install --cask chromium), or name one in SPENDGATE_CHROMIUM."; exit 1; fi

lock: setup ## resolve the dependencies anew, with hashes
	@test -x $(UV) || { $(PYTHON) -m venv .venv/uv && .venv/uv/bin/pip install --quiet uv; }
	$(UV) pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-header --no-annotate \
	  --upgrade -o requirements.lock pyproject.toml
	for tool in gateways java maven; do $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --upgrade -o deploy/local/sidecars/$$tool.lock deploy/local/sidecars/$$tool.in; done

setup: packages ## packages, Kafka, and the hot modules compiled; done again only when a lock or a source changes
	@$(BIN)/python -m deploy.local.kafka
	@$(BIN)/python -m deploy.compile

packages:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Spendgate needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
	  echo "Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@cmp -s requirements.lock .venv/installed.lock || { set -e; \
	  echo "Installing the locked packages into .venv"; \
	  $(PYTHON) -m venv .venv; \
	  $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	  $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	  cp requirements.lock .venv/installed.lock; }

clean: ## remove the environment, what was built, and the local stack's data
	rm -rf .venv build $(DATA) .mypy_cache .ruff_cache .pytest_cache .hypothesis
