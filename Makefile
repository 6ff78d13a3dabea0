# Needs GNU make 3.81 or newer and Python 3.11 or newer; everything else is put into .venv.
.DEFAULT_GOAL := help

VENV        := .venv
BIN         := $(VENV)/bin
UV          ?= $(shell command -v uv 2>/dev/null)
PYTHON      ?=
PYTEST_ARGS ?=
DEMO_ARGS   ?=
BENCH       ?=
STEPS       ?= 100000
SEED        ?= 1
PIP         := $(BIN)/python -m pip --disable-pip-version-check -qq install
UV_PIP      := $(UV) pip install --quiet --python $(BIN)/python
INSTALL     := $(if $(UV),$(UV_PIP),$(PIP))
SOURCES     := server order_types tests docs bench bundle interop

.PHONY: help setup demo test check walk interop bench format docs build bundle clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.ready ## make .venv with workdocket in it
	@echo "ready: $(BIN)/workdocket"

demo: $(VENV)/.ready ## run the main job on real input, end to end, and show it
	@$(BIN)/workdocket demo $(DEMO_ARGS)

test: $(VENV)/.ready-dev ## run every test (PYTEST_ARGS='-k lease' to choose)
	@echo "==> tests"
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.ready-dev ## all that CI asks for: format, lint, types, layers, generated docs, tests, coverage
	@echo "==> format"
	@$(BIN)/ruff format --quiet --check --output-format concise $(SOURCES) || { echo "run 'make format'" >&2; exit 1; }
	@echo "==> lint"
	@$(BIN)/ruff check --quiet $(SOURCES)
	@echo "==> types"
	@$(BIN)/mypy --no-error-summary
	@echo "==> layers"
	@$(BIN)/lint-imports --no-cache > $(VENV)/layers.txt 2>&1 || { cat $(VENV)/layers.txt; exit 1; }
	@echo "==> generated docs"
	@$(BIN)/python docs/generate.py --check
	@$(if $(TESTED),,echo "==> tests, with coverage"; $(BIN)/coverage erase; $(BIN)/python -m pytest --cov $(PYTEST_ARGS))
	@echo "==> coverage of the domain is whole"
	@$(BIN)/coverage report --include='server/workdocket/domain/*' --fail-under=100

walk: $(VENV)/.ready-dev ## random steps against a model of the product, a long way (STEPS=100000 SEED=1)
	@$(BIN)/python -m tests.property $(STEPS) $(SEED)

interop: $(VENV)/.ready ## run other people's MCP clients, write down what they found (needs npm; QUICK=1: what CI runs)
	@$(BIN)/python -m interop $(if $(QUICK),--quick)

bench: $(VENV)/.ready ## measure, print the figures, and write them to docs/reference/figures.md (BENCH=waiting to choose)
	@$(BIN)/python -m bench $(BENCH)

format: $(VENV)/.ready-dev ## format the code and mend what lint can mend
	@$(BIN)/ruff check --quiet --fix-only $(SOURCES)
	@$(BIN)/ruff format --quiet $(SOURCES)

docs: $(VENV)/.ready-dev ## write the generated reference pages
	@$(BIN)/python docs/generate.py

build: $(VENV)/.ready-dev ## build the wheel and the source archive into dist/
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . > $(VENV)/build.txt 2>&1 || { cat $(VENV)/build.txt; exit 1; }
	@ls dist

bundle: $(VENV)/.ready ## build the desktop bundle into dist/ and start it as a host does (needs npm and network)
	@command -v uv >/dev/null || [ -x $(BIN)/uv ] || $(INSTALL) uv
	@cd bundle && npm ci --no-audit --no-fund --loglevel=error > ../$(VENV)/bundle.txt 2>&1 || { cat ../$(VENV)/bundle.txt; exit 1; }
	@mkdir -p dist
	@file=dist/$$($(BIN)/python bundle/build.py build/bundle) && \
	  bundle/node_modules/.bin/mcpb validate build/bundle/manifest.json && \
	  bundle/node_modules/.bin/mcpb pack build/bundle $$file > $(VENV)/bundle.txt || { cat $(VENV)/bundle.txt; exit 1; }; \
	  $(BIN)/python bundle/check.py $$file && ls -l $$file

clean: ## remove .venv and everything that was made
	@rm -rf $(VENV) interop/.venvs interop/node_modules interop/hosts/node_modules dist build htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- the virtual environment: each stamp is written only when its step went through ----------------------------------

# A python counts when it runs (version managers leave stubs that don't), is new enough, and can make virtual
# environments. PYTHON=... names one.
$(VENV)/.made:
	@rm -rf $(VENV); \
	if [ -n "$(UV)" ]; then \
	  echo "==> $(VENV) (uv)"; \
	  "$(UV)" venv --quiet --python "$(or $(PYTHON),>=3.11)" $(VENV) || exit 1; \
	else \
	  lame=; \
	  for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || { lame=$$python; continue; }; \
	    echo "==> $(VENV) ($$("$$python" -V))"; \
	    "$$python" -m venv $(VENV) && touch $@ && exit 0; \
	    rm -rf $(VENV); exit 1; \
	  done; \
	  if [ -n "$$lame" ]; then \
	    echo "$$lame cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; \
	  else \
	    echo "No Python 3.11 or newer found. Install one (Debian: apt install python3-venv, macOS: brew install python)" >&2; \
	    echo "or install uv, or name one: make PYTHON=/path/to/python3" >&2; \
	  fi; \
	  exit 1; \
	fi
	@touch $@

$(VENV)/.ready: $(VENV)/.made pyproject.toml
	@echo "==> workdocket and what it needs"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.made pyproject.toml
	@echo "==> workdocket, what it needs, and the test tools"
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.ready $@
