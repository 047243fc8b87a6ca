# The environment comes from ./start_platform.sh --prepare --dev
PYTHON ?= .venv/bin/python
export PYTHON

.PHONY: check static format lint types imports test fast fix

check: static test

static:
	.ci/checks

format lint types imports:
	.ci/checks $@

test:
	$(PYTHON) -m pytest

# Everything but what takes more than a few seconds: browser, whole platform, kill tests.
fast:
	$(PYTHON) -m pytest -m "not slow"

fix:
	$(PYTHON) -m ruff check --fix components pages tests benchmarks *.py
	$(PYTHON) -m ruff format components pages tests benchmarks *.py
