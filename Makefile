# Sets itself up on first use: virtual environment in .venv, system libraries, package.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Another environment's modules and Qt platform must not leak into ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX QT_QPA_PLATFORM QT_API QT_PLUGIN_PATH
export PYTHONNOUSERSITE := 1

BIN := .venv/bin
DEMO_OUTPUT ?= demo-output
# Tests run in two processes of one thread each: more of either fight over two cores.
TEST_WORKERS ?= 2
# Tests start many processes: where Python may not keep the byte code of its libraries, each
# of them compiles all of PyTorch and scanpy anew, for 10 s and more.
TEST_ENV := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 LP_NUM_THREADS=1
PYTEST_ARGS ?=

.PHONY: help demo test lint bench docs-pictures setup clean distclean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: setup ## The main job on the embedded slide, results in DEMO_OUTPUT (demo-output)
	@$(BIN)/napari-prts demo -o "$(DEMO_OUTPUT)"

test: setup ## Everything that must hold: style, types, imports, manifest, tests (PYTEST_ARGS)
	@status=0; \
	$(MAKE) lint || status=1; \
	$(TEST_ENV) tools/screen.sh $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile \
		$(PYTEST_ARGS) || status=1; \
	exit $$status

lint: setup ## Style, types, imports one way, napari manifest
	@status=0; \
	check() { echo "== $$*"; "$$@" || { echo "== failed: $$*" >&2; status=1; }; }; \
	check $(BIN)/ruff check .; \
	check $(BIN)/ruff format --check .; \
	check $(BIN)/mypy; \
	check $(BIN)/lint-imports; \
	check $(BIN)/npe2 validate src/napari_prts/napari.yaml; \
	exit $$status

bench: setup ## Every benchmark, one ratio a line against its baseline
	@status=0; \
	for script in benchmarks/[!_]*.py; do \
		[ -e "$$script" ] || { echo "there are no benchmarks" >&2; exit 1; }; \
		echo "== $$script"; \
		tools/screen.sh $(BIN)/python "$$script" || status=1; \
	done; \
	exit $$status

docs-pictures: setup ## Walk through the window and take the pictures of the documents
	@tools/screen.sh $(BIN)/python tools/docs_pictures.py

setup: ## Virtual environment, system libraries, package; skipped when already there
	@tools/setup.sh

clean: ## Remove caches, built packages and the demo's output
	rm -rf build dist demo-output htmlcov .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Also remove the virtual environment
	rm -rf .venv
