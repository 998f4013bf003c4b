# Everything runs in the project's own virtual environment, installed from the lock files.
VENV := .venv
PYTHON ?= python3

.PHONY: demo serve test conformance bench lint clean lock screenshots

$(VENV)/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer with its venv module is needed."; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.run  ## the service with Finland's network simulated, on http://127.0.0.1:8000
	@exec $(VENV)/bin/ocpi-nap demo

serve: $(VENV)/.run  ## the service on http://127.0.0.1:8000
	$(VENV)/bin/ocpi-nap serve

test: $(VENV)/.dev  ## all tests, with the embedded PostgreSQL and MQTT broker
	$(VENV)/bin/pytest -q -n auto

conformance: $(VENV)/.dev  ## docs/conformance.md, from the marks on the tests
	$(VENV)/bin/python -m tests.conformance

bench: $(VENV)/.run  ## the speed figures, as a table and in bench/history/
	$(VENV)/bin/python -m bench.run

screenshots: $(VENV)/.dev  ## pictures of every page into build/screenshots (needs Debian's chromium)
	$(VENV)/bin/pytest -q --timeout 600 tests/e2e/screenshots.py

lint: $(VENV)/.dev  ## style, types and import rules
	$(VENV)/bin/ruff check src tests bench
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

lock:  ## rewrite the lock files (needs uv)
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header \
		--no-annotate --extra build pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header \
		--no-annotate --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
