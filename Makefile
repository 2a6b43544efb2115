# One command per chore. Everything runs in .venv, which every target creates when it is missing.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup demo test soak lint format docs bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test,lint,docs,bench]"
	touch $(STAMP)

demo: $(STAMP)  ## tune a real model jointly, compare with grid and one-at-a-time, write demo/report.html
	$(BIN)/hpo demo

test: $(STAMP)  ## the tests, two at a time
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

soak: $(STAMP)  ## the fault tests at large counts, for hours; goes on where it stopped
	$(BIN)/python -m tests.faults.soak

lint: $(STAMP)
	$(BIN)/ruff check hpo benchmarks tests
	$(BIN)/ruff format --check hpo benchmarks tests
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format hpo benchmarks tests
	$(BIN)/ruff check --fix hpo benchmarks tests

docs: $(STAMP)  ## build the pages into docs/_build
	$(BIN)/sphinx-build -W -q docs docs/_build

bench: $(STAMP)  ## hpo and its peers on public problems: the quick suite, or ARGS="run --suite standard"
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks $(or $(ARGS),run --suite quick --jobs 2)

clean:
	rm -rf .venv docs/_build demo
