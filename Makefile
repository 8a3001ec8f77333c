PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PIP_INSTALL := python -m pip install --disable-pip-version-check --progress-bar off
# Without the variable, the tests' hundreds of commands compile medtune only once.
PYTEST := env -u PYTHONDONTWRITEBYTECODE python -m pytest --dist loadfile --no-loadscope-reorder
PIP_COMPILE := pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --allow-unsafe

.PHONY: all chat web lint check test audit sbom lock

# Mends a dvc.lock that a kill has cut off, runs the stages whose inputs have changed, and prints verdict and scores.
all: .venv/run .dvc/plots/vega.js
	@medtune verify --lock
	dvc repro
	@medtune summary

# Serves the base and the fine-tuned model on this machine; `medtune chat --help` lists its options.
chat: .venv/app
	medtune chat

# Builds the React page, which `make chat` then serves at /web.
web:
	@command -v npm >/dev/null || { echo "make web needs npm: install Node.js 20.19 or newer (nodejs.org)" >&2; exit 1; }
	cd app/web && npm ci && npm test && npm run build

lint: .venv/dev
	ruff check .
	ruff format --check .
	mypy

# The checks to run while working: about a minute on 2 cores. mypy runs beside the tests.
check: .venv/dev
	ruff check .
	ruff format --check .
	@types=$$(mktemp); mypy > $$types & typing=$$!; \
	$(PYTEST) --numprocesses logical --maxprocesses 4 -m "not slow"; failed=$$?; \
	wait $$typing || failed=1; cat $$types; rm $$types; exit $$failed

# All tests, including those that run the whole graph.
test: lint
	$(PYTEST) --numprocesses auto

# Runs each stage of the smoke preset under strace and fails if it touches what dvc.yaml does not declare.
audit: .venv/dev
	python -m tests.robustness.audit

# Lists what is installed: a CycloneDX bill of materials, and the licence of each package that the pipeline pins.
# The bill is not validated, which takes the tool minutes.
sbom: .venv/dev
	mkdir -p exports
	cyclonedx-py environment --no-validate --pyproject pyproject.toml --output-reproducible --output-file exports/sbom.cdx.json .venv/bin/python
	pip-licenses --python .venv/bin/python --from mixed --with-system --order name --no-version --format csv --output-file docs/licences.csv \
		--packages $$(sed -n 's/^\([A-Za-z0-9_.-]*\)==.*/\1/p' requirements.txt)

.venv/run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("medtune needs Python 3.11 or newer, but this is " + sys.version.split()[0] + ": run make PYTHON=python3.12")'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned requirements into .venv (this takes some minutes)"
	$(PIP_INSTALL) -r requirements.txt
	$(PIP_INSTALL) --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $@

# The scripts of the page that `dvc plots show` opens, which then needs no network.
.dvc/plots/vega.js: .venv/run
	@python -c 'import vl_convert; open("$@", "w", encoding="utf-8").write(vl_convert.javascript_bundle())'

.venv/app: .venv/run requirements-app.txt
	$(PIP_INSTALL) -r requirements-app.txt
	@touch $@

# What DVC needs for a shared remote on S3 or over SSH.
.venv/remotes: .venv/run requirements-remotes.txt
	$(PIP_INSTALL) -r requirements-remotes.txt
	@touch $@

# The trackers that MEDTUNE_REPORT_TO may name.
.venv/trackers: .venv/run requirements-trackers.txt
	$(PIP_INSTALL) -r requirements-trackers.txt
	@touch $@

.venv/dev: .venv/run requirements-dev.txt
	$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

# Pins all packages again from the ranges in pyproject.toml: one resolution, of which pipeline and app get their part.
# A local build of torch is pinned as the release, which pins its own CUDA libraries where there is no such build.
lock: .venv/dev
	$(PIP_COMPILE) --upgrade --extra app --extra dev --output-file requirements-dev.txt pyproject.toml
	$(PIP_COMPILE) --upgrade --constraint requirements-dev.txt --output-file requirements.txt pyproject.toml
	$(PIP_COMPILE) --upgrade --constraint requirements-dev.txt --extra app --output-file requirements-app.txt pyproject.toml
	$(PIP_COMPILE) --upgrade --constraint requirements-dev.txt --extra remotes --output-file requirements-remotes.txt pyproject.toml
	$(PIP_COMPILE) --upgrade --constraint requirements-dev.txt --extra trackers --output-file requirements-trackers.txt pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.txt requirements-app.txt requirements-remotes.txt requirements-trackers.txt requirements-dev.txt
