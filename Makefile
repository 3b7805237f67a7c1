# The commands of this project. The first one that needs it makes .venv; later ones install nothing until
# pyproject.toml or tools/install.sh changes.

PYTHON ?= python3
ifndef EXTRA
EXTRA := $(shell nvidia-smi -L >/dev/null 2>&1 && echo cuda || echo cpu)
endif
ARGS ?=
MOMENTS ?= 50
LEDGER := $(CURDIR)/build/faults.jsonl

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed-$(EXTRA)

.DEFAULT_GOAL := help
.PHONY: help install demo test faults check format docs bench clean

help: ## show this list
	@echo "make TARGET [PYTHON=python3.12] [EXTRA=cpu|cuda] [ARGS='...']"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(INSTALLED) ## run experiment=multi_turn on the bundled sample (ARGS: overrides, e.g. engine.block_size=16)
	$(BIN)/python -m cachelab experiment=multi_turn $(ARGS)

test: $(INSTALLED) ## run the tests (ARGS: pytest's, e.g. "-m 'not slow'")
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal $(ARGS)

faults: $(INSTALLED) ## attack cachelab for an hour and print the results (MOMENTS=50 of each attack)
	@mkdir -p $(dir $(LEDGER)) && rm -f $(LEDGER)
	CACHELAB_FAULTS_LEDGER=$(LEDGER) CACHELAB_FAULTS_MOMENTS=$(MOMENTS) $(BIN)/python -m pytest tests/faults $(ARGS)

check: $(INSTALLED) ## lint, formatting, types, direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports --no-cache

format: $(INSTALLED) ## fix and format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## the documentation as web pages in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(INSTALLED) ## measure time and memory of whole runs (ARGS: e.g. "--before CHECKOUT --conversations 7000")
	$(BIN)/python bench/before_after.py $(ARGS)

install: $(INSTALLED) ## make .venv only

clean: ## remove .venv, caches and builds; runs and sweeps stay
	rm -rf $(VENV) build dist site .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml tools/install.sh
	@PYTHON="$(PYTHON)" bash tools/install.sh "$(VENV)" "$(EXTRA)"
	@touch $@
