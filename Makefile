# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz lint site format reference clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

$(VENV)/runs: pyproject.toml constraints.txt
	@echo 'Installing melaudit and torch into $(VENV): some gigabytes, minutes in which nothing is said'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/installed: $(VENV)/runs
	@echo 'Installing what tests and documents need'
	$(PIP) --editable '.[dev]'
	touch $@

demo: $(VENV)/runs  ## Generate data, train a small model on it, audit it: the report is demo/audit/report.html
	$(BIN)/melaudit demo --out demo

test: $(VENV)/installed  ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

fuzz: $(VENV)/installed  ## Give each boundary damaged and made-up inputs for 60 seconds, two at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seconds 60 --at-once 2

lint: $(VENV)/installed  ## Check style, types and which way imports go
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

site: $(VENV)/installed  ## Build the documentation as a site, without a network: build/site/index.html
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d build/doctrees . build/site

format: $(VENV)/installed  ## Mend style where a machine can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(VENV)/installed  ## Write anew the pages of docs that are made from the code
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.docs.api
	$(BIN)/python -m tests.docs.detectors
	$(BIN)/python -m tests.docs.forms

clean:  ## Remove everything that can be made again
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
