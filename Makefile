# Teiki's front door. `make` alone explains itself.
#
# Everything runs in .venv, made on first use from requirements.lock (hashes checked). pip's own configuration is
# respected: a mirror, a proxy or a cache set there is used, and no address is written here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= auto
SEED ?= 7
PAIRS ?= 500
GUARD_OFF ?=
N ?= 10000
ROWS ?=
ORDERS ?= 1000000

.DEFAULT_GOAL := help
.PHONY: help install up demo test test-fast lint format bench bench-stampede bench-exports bench-orders bench-customers chaos lock clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "; print "Teiki: make <target>\n"} \
	      /^[a-z-]+:.*## / {printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(INSTALLED) ## install, then start everything in this terminal (Ctrl-C stops it, data stays in .teiki/)
	@$(BIN)/teiki up

demo: $(INSTALLED) ## run the example year and print its timeline
	@$(BIN)/teiki simulate examples/seed_year.yaml

test: $(INSTALLED) ## everything that needs only Python, on all cores
	@$(BIN)/python -m pytest -n $(WORKERS)

test-fast: $(INSTALLED) ## the pure rules only: seconds
	@$(BIN)/python -m pytest tests/domain

lint: $(INSTALLED) ## style, types and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## count and measure; the last line is JSON
	@$(BIN)/python -m bench

bench-stampede: $(INSTALLED) ## N subscriptions due at one instant (N=10000); the last line is JSON
	@$(BIN)/python -m bench.stampede --due $(N)

bench-exports: $(INSTALLED) ## workbooks of ROWS orders (default 10k, 100k, 1M) from Postgres beside XlsxWriter; the last line is JSON
	@$(BIN)/python -m bench.exports $(if $(ROWS),--rows $(ROWS))

bench-orders: $(INSTALLED) ## the order list among ORDERS=1000000 orders: p95 of each filter; the last line is JSON
	@$(BIN)/python -m bench.orders --orders $(ORDERS)

bench-customers: $(INSTALLED) ## the customer page among ORDERS=1000000 orders: p95 of each tab; the last line is JSON
	@$(BIN)/python -m bench.customers --orders $(ORDERS)

chaos: $(INSTALLED) ## kill, cut and break everything, then audit: SEED=7 PAIRS=500 [GUARD_OFF=key]; last line is JSON
	@$(BIN)/python -m tests.chaos --seed $(SEED) --pairs $(PAIRS) --guard-off "$(GUARD_OFF)"

lock: $(INSTALLED) ## write requirements.lock again from pyproject.toml (for maintainers)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --all-extras --group dev --no-header --output-file requirements.lock pyproject.toml

clean: ## remove .venv and caches; never .teiki, where your data is
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install: $(INSTALLED) ## only install

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Teiki needs Python 3.11 or newer; \`$(PYTHON)\` is $$($(PYTHON) --version 2>&1 || true)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making $(VENV) …"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing what requirements.lock names …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
