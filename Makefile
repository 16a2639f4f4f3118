# Metergate. `make` alone lists the targets. Needs Python >= 3.11 and make; everything else comes from the lock files.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Generators and linters start `python` and each other by name.
TOOLS  := PATH="$(CURDIR)/$(BIN):$$PATH"
# The server and its Python client are both installed from the checkout.
PROJECTS := pyproject.toml $(wildcard clients/python/pyproject.toml)
# The contract's baseline: main as the remote has it, else the local main; CI may name another ref.
BASELINE ?= $(shell for ref in refs/remotes/origin/main refs/heads/main; do \
	git cat-file -e "$$ref:protos" 2>/dev/null && echo "$$ref" && break; done)
LOCK   := uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help run test bench lint proto clean lock
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/runtime ## serve on 127.0.0.1:7400 (gRPC) and :7401 (HTTP), with its own PostgreSQL and Valkey
	@exec $(BIN)/metergate serve $(ARGS)

# Three workers, each with servers of its own: many tests wait. What stays together is in tests/fixtures.py.
test: lint ## lint, then every test (ARGS="-k name" narrows it)
	$(BIN)/python -m pytest --config-file pyproject.toml -n 3 --dist loadgroup --no-loadscope-reorder $(ARGS)

bench: $(VENV)/dev ## run every benchmark and write benchmarks/results.md
	$(BIN)/python -m benchmarks all $(ARGS)

lint: $(VENV)/dev ## ruff, mypy --strict, the import law, the contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(TOOLS) buf lint
	@if [ -n "$(BASELINE)" ]; then echo "buf breaking against $(BASELINE)"; \
	  $(TOOLS) buf breaking --against '.git#ref=$(BASELINE)'; \
	else echo "buf breaking: SKIPPED, no baseline (neither origin/main nor main holds protos here)"; fi
	@$(TOOLS) scripts/generated_is_current

proto: $(VENV)/dev ## generate the Python messages and stubs from protos/
	rm -f src/metergate/v1/*_pb2* clients/python/src/metergate_client/v1/*_pb2*
	$(TOOLS) buf generate

lock: $(VENV)/dev ## resolve the lock files anew (ARGS=--upgrade lifts what nothing pins)
	$(TOOLS) $(LOCK) $(ARGS) pyproject.toml --group install -o requirements.lock
	$(TOOLS) $(LOCK) $(ARGS) pyproject.toml --group install --group dev -c requirements.lock -o requirements-dev.lock

clean: ## remove the environment, caches and built things (the data in .metergate/ stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests clients benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- the environment: a stamp per lock file; hashes hold because nothing is built in isolation ------------------------
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Metergate needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: requirements.lock $(PROJECTS) | $(VENV)/bin/python
	@echo "installing what requirements.lock names ..."
	@$(PIP) --require-hashes --no-deps -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation $(foreach project,$(PROJECTS),--editable ./$(dir $(project)))
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/runtime
	@echo "installing what requirements-dev.lock names ..."
	@$(PIP) --require-hashes --no-deps -r requirements-dev.lock
	@touch $@
