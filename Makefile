# The one thing needed beforehand is Python 3.11 or newer; everything else is installed from the
# lock files, by hash, into .venv. A second run of any target installs nothing.
.DEFAULT_GOAL := help
.PHONY: help run test check bench soak peers lock clean

PYTHON ?=
UV ?= uv
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL_LOCKED := $(PIP) install --require-hashes --only-binary :all:
# hatchling is in both locks, so installing the project itself downloads nothing.
INSTALL_PROJECT := $(PIP) install --no-index --no-deps --no-build-isolation --editable .
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
PDS := tests/peers/pds

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/run.stamp ## tell one night of alerts on stand-in networks, on this machine alone
	@$(BIN)/broadcaster demo

test: .venv/dev.stamp ## all tests; what is skipped is named at the end
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder

check: .venv/dev.stamp ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: .venv/dev.stamp ## speed and memory against a bare relay, as ratios
	@$(BIN)/python -m bench

soak: .venv/dev.stamp ## the tests with long counts, whole
	@BROADCASTER_SOAK=1 $(BIN)/python -m pytest -m soak -s

peers: $(PDS)/node_modules/.installed ## the real Bluesky server the tests run against (needs node, g++)

lock: ## resolve the dependencies again (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv on the PATH, or UV=/path/to/uv" >&2; exit 1; }
	$(LOCK) --group dev --output-file requirements-dev.lock pyproject.toml
	# With the versions that were tested.
	$(LOCK) --group build --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml

clean: ## remove what was installed and cached
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis $(PDS)/node_modules

.venv/pyvenv.cfg:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making .venv with $$($$python --version)"; exec $$python -m venv .venv; \
		fi; \
	done; \
	echo "No Python >= 3.11 with its venv module on the PATH (Debian: apt install python3-venv)." >&2; \
	echo "If you have one elsewhere: make PYTHON=/path/to/python3.11" >&2; \
	exit 1

.venv/run.stamp: requirements.lock pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing what requirements.lock names"
	@$(INSTALL_LOCKED) -r requirements.lock
	@$(INSTALL_PROJECT)
	@touch $@

.venv/dev.stamp: requirements-dev.lock pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing what requirements-dev.lock names"
	@$(INSTALL_LOCKED) -r requirements-dev.lock
	@$(INSTALL_PROJECT)
	@touch $@ .venv/run.stamp

# Only better-sqlite3 needs its build step; node's headers are taken from beside node where they are,
# because headers of another version build a module that node then refuses.
$(PDS)/node_modules/.installed: $(PDS)/package.json $(PDS)/package-lock.json
	@command -v npm >/dev/null || { echo "make peers needs node >= 18.7 with npm" >&2; exit 1; }
	cd $(PDS) && npm ci --ignore-scripts --no-audit --no-fund
	cd $(PDS) && prefix=$$(dirname "$$(dirname "$$(command -v node)")") && \
		if [ -e "$$prefix/include/node/node_version.h" ]; then export npm_config_nodedir="$$prefix"; fi && \
		CXXFLAGS=-O0 CFLAGS=-O1 npm rebuild better-sqlite3
	@touch $@
