# `make demo` and `make test` are all that a fresh machine needs; both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
# Not in the lock, as each machine offers a build of its own, for CPUs or GPUs; torchvision, which is, needs this one.
TORCH := torch==2.13.0
UV := uv==0.13.9
ACTIVE := PATH="$(CURDIR)/$(BIN):$$PATH"
# Some containers forbid bytecode files; then every job compiles all that it imports, for 5 seconds.
export PYTHONDONTWRITEBYTECODE :=

# uv installs in seconds what takes pip minutes; but it does not read pip's settings, such as another index.
LOCKED := --require-hashes --no-deps --requirement requirements.lock

.PHONY: demo test test-slurm lint lock clean

demo: .venv/.installed
	@$(ACTIVE) snakemake --config scale=demo
	@$(ACTIVE) snakemake --config scale=demo --quiet all --report results/demo/report.html
	@echo "Look at results/demo/index.html (tables in results/demo/tables, pictures in results/demo/figures;"
	@echo "Snakemake's own report, with the times of all jobs: results/demo/report.html)."

# FAST=1 leaves out the tests that are marked slow. One thread a test: several that wait for each other
# on busy cores take many times as long.
test: .venv/.installed lint
	@$(ACTIVE) OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slurm$(if $(FAST), and not slow)"

# Starts and stops Slurm on this machine, as root; tests/install.sh installs it.
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
	@echo "Setting up .venv (about a minute, most of it downloads)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check $(UV)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(LOCKED) || $(BIN)/pip install --quiet $(LOCKED)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable . $(TORCH)
	@touch $@

# Renews requirements.lock from pyproject.toml; what it holds stays, unless `--upgrade` is said.
lock:
	echo '$(TORCH)' | uv pip compile pyproject.toml --constraints - --extra all --universal --python-version 3.11 \
	    --generate-hashes --no-emit-package torch --no-header --no-emit-index-url -o requirements.lock

clean:
	rm -rf .venv
