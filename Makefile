# Everything a newcomer needs. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
ERP := .venv/bin/erp
PYTHON := .venv/bin/python

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: run-environment ## install what is missing, start the whole fleet, let two tenants trade, report
	@$(ERP) demo

.PHONY: up
up: run-environment ## start the fleet on this machine
	@$(ERP) up

.PHONY: down
down: ## stop the fleet; its data stays
	@if [ -x $(ERP) ]; then $(ERP) down; else echo "Nothing is installed here yet."; fi

.PHONY: status
status: ## show every process of the fleet
	@$(ERP) status

.PHONY: test
test: dev-environment ## run all tests, in two processes, on real servers that the tests start themselves
	@$(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: chaos
chaos: dev-environment ## break a fleet fault by fault under load, print promise, fault, measured, verdict
	@$(PYTHON) -m tests.faults

.PHONY: truth
truth: dev-environment ## book three months of a real wholesaler and compare to the penny (needs the data)
	@$(PYTHON) -m pytest tests/truth -m truth

.PHONY: lint
lint: dev-environment ## ruff, mypy --strict, import-linter
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports

.PHONY: bench
bench: dev-environment ## measure the fleet beside the bare limits of its parts
	@$(PYTHON) -m loadtests.bench
	@$(PYTHON) -m loadtests.agreement

.PHONY: bench-agreement
bench-agreement: dev-environment ## only locks, cache, events, sagas, two-phase commit and jobs beside their bare limits
	@$(PYTHON) -m loadtests.agreement

.PHONY: load
load: dev-environment ## a short headless load run against the local fleet, with budgets
	@$(PYTHON) -m loadtests.load

.PHONY: lock
lock: ## resolve the dependencies anew and write every lock file
	@uv lock --quiet
	@uv export --frozen --quiet --format requirements-txt --no-annotate --no-header --no-emit-project \
	    --no-default-groups -o requirements.lock
	@uv export --frozen --quiet --format requirements-txt --no-annotate --no-header --no-emit-project \
	    --all-groups -o requirements-dev.lock
	@uv export --frozen --quiet --format requirements-txt --no-annotate --no-header --no-emit-project \
	    --no-default-groups --extra embedded -o requirements-embedded.lock

.PHONY: run-environment
run-environment:
	@deploy/bootstrap.sh run

.PHONY: dev-environment
dev-environment:
	@deploy/bootstrap.sh dev
