.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up test lint format types imports unit prove bench stripe-cli lock clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The suite starts its own Postgres and Redis in each worker. Override: make unit PYTEST_ARGS="-k webhook -x"
PYTEST_ARGS ?= -n 2
LIVES ?= 10000

help: ## List these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Play the main job in the terminal: from a payment to a changed answer
	@$(BIN)/python -m sandbox.demo

up: $(READY) ## Start the whole stack and keep it until Ctrl-C
	@$(BIN)/python -m sandbox.up

test: lint types imports unit ## Check and test everything

lint: $(READY) ## Check style and formatting
	@echo "== ruff: style and formatting"
	@$(BIN)/python -m ruff check --quiet --output-format concise . && $(BIN)/python -m ruff format --check --quiet . \
		|| { echo "ruff: mend with 'make format'; what stays needs a hand" >&2; exit 1; }

format: $(READY) ## Format the code and mend what can be mended
	@$(BIN)/python -m ruff check --fix . ; $(BIN)/python -m ruff format .

types: $(READY) ## Check types
	@echo "== mypy: types"
	@$(BIN)/python -m mypy

imports: $(READY) ## Check which package may import which
	@echo "== import-linter: layers"
	@$(BIN)/lint-imports

unit: $(READY) ## Run the tests only; PYTEST_ARGS chooses some
	@echo "== pytest: tests on real servers"
	@$(BIN)/python -m pytest -q $(PYTEST_ARGS)

prove: $(READY) ## Play LIVES=10000 generated lives with faults beside an oracle; SEED=… repeats some
	@$(BIN)/python -m tests.lives.prove --lives $(LIVES) $(if $(SEED),--seed $(SEED))

bench: $(READY) ## Measure the running product; BENCH_ARGS="latency" runs one; the report is in .sandbox/benchmarks
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

stripe-cli: $(READY) ## Let the official Stripe CLI trigger every event of ours (needs npm, or STRIPE_CLI)
	@$(BIN)/python -m tests.cli_triggers $(TRIGGERS)

lock: ## Pin the dependencies anew in requirements.lock (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
		--extra sandbox --extra dev pyproject.toml -o requirements.lock

clean: ## Remove what was made: environment, caches, the stack's data
	rm -rf $(VENV) .sandbox .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .grimp_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Written last, so an interrupted set-up is done again.
$(READY): requirements.lock pyproject.toml sandbox/setup.sh sandbox/setup_environment.py
	@PYTHON="$(PYTHON)" sh sandbox/setup.sh $(VENV)
	@touch $(READY)
