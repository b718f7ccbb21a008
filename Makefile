# Two commands: `make demo` shows the app at work, `make test` checks everything.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RESOURCES ?= 200
SEEDS ?= 300
FUZZ ?= 5000
SEED ?= 1

.PHONY: demo test lint types arrows tests soak mutants fuzz audit clients azurite kill docs python311 bench format clean \
	help
.DEFAULT_GOAL := help

help:
	@echo "make demo    a key is rotated in a local Azure and everything that uses it follows (RESOURCES=$(RESOURCES))"
	@echo "make test    lint, types, import contracts, all tests"
	@echo "make soak    faults, deaths and other hands, seed by seed (SEEDS=$(SEEDS))"
	@echo "make mutants takes each safety rule out in turn; the tests must notice"
	@echo "make fuzz    every parser on what nobody meant to send (FUZZ=$(FUZZ) examples a test, SEED=$(SEED))"
	@echo "make audit   known weaknesses: pip-audit over requirements.lock, bandit over the code"
	@echo "make clients az and Cloud Custodian against the sandbox, in environments of their own"
	@echo "make azurite the storage emulator, from npm, for the tests that need a real queue"
	@echo "make kill    the app is killed ten times during a rotation of 500 resources; needs npm"
	@echo "make bench   the demo with 2,000 resources, as figures"
	@echo "make docs    the generated pages and the picture"
	@echo "make python311  loads the app on Python 3.11 and runs each function"
	@echo "make format  put the code into shape"

$(STAMP): requirements.txt requirements-dev.txt requirements.lock .python-version
	@test -x $(BIN)/python || { python=$$(tools/find-python $(MAKECMDGOALS)) && "$$python" -m venv $(VENV); }
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m sandbox demo --resources $(RESOURCES)

test: lint types arrows tests

lint: $(STAMP)
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .

types: $(STAMP)
	@$(BIN)/mypy

arrows: $(STAMP)
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

tests: $(STAMP)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $$($(BIN)/python -m tools.azurite leave-out)
	@$(BIN)/python -m tools.azurite tell

soak: $(STAMP)
	@$(BIN)/python -m tests.soak --seeds $(SEEDS)

mutants: $(STAMP)
	@$(BIN)/python -m tools.mutants.run

fuzz: $(STAMP)
	@FUZZ=$(FUZZ) $(BIN)/python -m pytest -n 2 --timeout 3600 --hypothesis-seed=$(SEED) tests/fuzz

audit: $(STAMP)
	@$(BIN)/python -m tools.audit.run

clients: $(STAMP)
	@$(BIN)/python -m tools.clients.run

azurite: $(STAMP)
	@$(BIN)/python -m tools.azurite install

kill: azurite
	@$(BIN)/python -m tools.kill

bench: $(STAMP)
	@$(BIN)/python -m sandbox demo --resources 2000 --json

docs: $(STAMP)
	@$(BIN)/python -m tools.docs
	@$(BIN)/python -m sandbox demo --svg docs/demo.svg

python311: $(STAMP)
	@$(BIN)/python -m tools.python311.check

format: $(STAMP)
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

clean:
	rm -rf $(VENV) .sandbox .mypy_cache .ruff_cache .pytest_cache .hypothesis
