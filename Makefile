# `make demo` and `make test` set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
# Not in the lock, since builds differ for CPUs and GPUs. The locked torchvision needs this version.
TORCH := torch==2.13.0
ACTIVE := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: demo test test-slurm lint lock clean

demo: .venv/.installed
	@$(ACTIVE) snakemake --config scale=demo
	@$(ACTIVE) snakemake --config scale=demo --quiet all --report results/demo/report.html
	@echo "Open results/demo/index.html (tables in results/demo/tables, figures in results/demo/figures;"
	@echo "Snakemake's own report, with the times of all jobs: results/demo/report.html)."

# FAST=1 leaves out the tests marked slow. One thread per test: on busy cores, threads that wait for each other
# make a test many times slower.
test: .venv/.installed lint
	@$(ACTIVE) OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist worksteal -m "not slurm$(if $(FAST), and not slow)"

# Starts and stops Slurm on this machine, as root; `tests/workflow/slurm.sh install` installs it.
test-slurm: .venv/.installed
	@$(ACTIVE) OMP_NUM_THREADS=1 pytest -m slurm

lint: .venv/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(ACTIVE) snakemake --lint

.venv/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv (about two minutes, most of it downloads)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable . $(TORCH)
	@touch $@

# Updates requirements.lock from pyproject.toml; locked versions stay, unless `--upgrade` is added.
lock:
	echo '$(TORCH)' | uv pip compile pyproject.toml --constraints - --extra all --universal --python-version 3.11 \
	    --generate-hashes --no-emit-package torch --no-header --no-emit-index-url -o requirements.lock

clean:
	rm -rf .venv
