# `make help` reads the `## ` comments below. PYTHON=python3.12 picks the interpreter, ARGS="…" goes to the command.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
READY := $(VENV)/.ready
READY_BENCH := $(VENV)/.ready-bench
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help train test check docs soak bench bench-gpu clean sandbox browser

help: ## show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

train: $(READY) sandbox ## train a policy: cgpo train $(ARGS)
	$(BIN)/cgpo train $(ARGS)

test: $(READY) sandbox browser ## run the tests, a process on each core: pytest $(ARGS)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY) ## lint, format, types, which room imports which, and the documentation's links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo
	$(MKDOCS) --quiet --site-dir $(VENV)/site

docs: $(READY) ## build the documentation into site/
	$(MKDOCS)

soak: $(READY) sandbox ## kill runs twenty times at random points, and compare them with runs that are not (a quarter of an hour)
	$(BIN)/python -m pytest -m soak -s tests/end_to_end $(ARGS)

bench: $(READY_BENCH) sandbox ## measure a training step (benchmarks/step.py $(ARGS)), the judges, what hides their time, log-probabilities, the plan of memory, checkpoints, and several processes
	$(BIN)/python benchmarks/step.py $(ARGS)
	$(BIN)/python benchmarks/judges.py
	$(BIN)/python benchmarks/hidden_judging.py
	$(BIN)/python benchmarks/logprob_memory.py
	$(BIN)/python benchmarks/packing.py
	$(BIN)/python benchmarks/plan.py
	$(BIN)/python benchmarks/checkpoint.py
	$(BIN)/python benchmarks/scaling.py

bench-gpu: $(READY_BENCH) sandbox ## measure steps and decoding on a GPU, in under ten minutes (benchmarks/gpu.py $(ARGS))
	$(BIN)/python benchmarks/gpu.py $(ARGS)

clean: ## remove the environment and everything built; runs stay
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and at its exact version: a resolver left to choose may fetch another one, with gigabytes of CUDA.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo 'error: Python 3.11 or later is needed; name it with make PYTHON=python3.12 …' >&2; exit 1; }
	@echo 'making $(VENV): the first time takes a few minutes'
	@$(PYTHON) -m venv $(VENV) \
		|| { echo 'error: no venv module for $(PYTHON); on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(PIP) $(shell grep '^torch==' constraints.txt)
	@$(PIP) --editable '.[dev]'
	@touch $@

$(READY_BENCH): $(READY)
	@$(PIP) --editable '.[bench]'
	@touch $@

# Code that a policy wrote runs inside bubblewrap and nowhere else.
sandbox:
	@command -v bwrap >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'installing bubblewrap, in which code written by a policy runs'; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq bubblewrap >/dev/null; \
	else \
		echo 'error: bubblewrap is missing, in which code written by a policy runs: sudo apt-get install bubblewrap' >&2; \
		exit 1; \
	fi

# The tests look at reports in it; without it they are skipped.
browser:
	@command -v chromium >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'installing chromium, in which the tests look at reports'; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else \
		echo 'chromium is missing, so that the tests of the report in a browser are skipped: sudo apt-get install chromium' >&2; \
	fi
