# Everything a newcomer needs: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOPIC := image classification from few, small images
# For example: make demo ARGS="--set sandbox.image=my-registry/python:3.11"
ARGS ?=
PYTEST_ARGS ?=

.PHONY: demo test attacks bench lint clean

demo: $(VENV)/.installed
	@kind=$$($(BIN)/autoresearch doctor --strongest $(ARGS)); \
	if [ "$$kind" = none ]; then \
		echo "This machine has neither Docker nor Landlock: running without a sandbox."; \
		echo "Only the offline model's own edits of the shipped baseline run here."; \
	else \
		echo "The strongest sandbox here is: $$kind"; \
	fi; \
	$(BIN)/autoresearch run "$(TOPIC)" --task digits --model offline --rounds 2 --ideas 5 \
		--sandbox $$kind $(ARGS)

test: $(VENV)/.developer
	$(BIN)/python -m pytest --durations=25 $(PYTEST_ARGS)

# Programs that try to get out of each sandbox, alone.
attacks: $(VENV)/.developer
	$(BIN)/python -m pytest tests/attacks $(PYTEST_ARGS)

bench: $(VENV)/.developer
	$(BIN)/python -m tests.bench

lint: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "autoresearch needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.developer: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
