# One command per chore. Everything runs in .venv, which every target creates when it is missing.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEMO := .venv/.demo
OLDEST := .venv-oldest/bin

.PHONY: setup demo test oldest soak mutants lint format docs session bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test,lint,docs,bench]"
	touch $(STAMP)

$(DEMO): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[demo]"
	touch $(DEMO)

demo: $(DEMO)  ## tune a real model jointly, compare with grid and one-at-a-time, write demo/report.html
	$(BIN)/hpo demo

test: $(STAMP)  ## the tests, two at a time
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

oldest:  ## the fast tests with the oldest versions that pyproject.toml allows, in an environment of its own
	$(PYTHON) -m venv --clear .venv-oldest
	$(OLDEST)/python -m pip install --quiet -c constraints-oldest.txt -e .
	$(OLDEST)/hpo doctor
	$(OLDEST)/python -m pip install --quiet -c constraints-oldest.txt -e ".[demo,frame,upgrade,postgres,dask]" \
		pytest pytest-timeout pytest-xdist hypothesis sybil
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(OLDEST)/python -m pytest -n 2 --dist worksteal tests \
		$(addprefix --ignore=tests/,bayes benchmarks executors faults common/test_scalars.py)

soak: $(STAMP)  ## the fault tests at large counts, for hours; goes on where it stopped
	$(BIN)/python -m tests.faults.soak

mutants: $(STAMP)  ## change one thing of the code at a time and see whether the tests notice: a sample, about an hour
	$(BIN)/python -m tests.mutants $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check hpo benchmarks tests docs
	$(BIN)/ruff format --check hpo benchmarks tests
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format hpo benchmarks tests
	$(BIN)/ruff check --fix hpo benchmarks tests

docs: $(STAMP)  ## build the pages into docs/_build
	$(BIN)/sphinx-build -W -q docs docs/_build

session: $(STAMP)  ## record the first session that the docs show, in a terminal and a notebook
	$(BIN)/python docs/record_first_session.py

bench: $(STAMP)  ## hpo and its peers on public problems: the quick suite, or ARGS="run --suite standard"
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks $(or $(ARGS),run --suite quick --jobs 2)

clean:
	rm -rf .venv .venv-oldest docs/_build demo
