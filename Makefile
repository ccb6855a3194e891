# Two commands do everything on a fresh machine with Python >= 3.11:
#   make demo    environment, install, the tour: runs/demo/report.html
#   make test    environment, install, lint, types, documents, all tests

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types docs check bench clean

demo: $(VENV)/.installed
	$(BIN)/trifocal demo

test: lint types docs check

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	$(BIN)/pyright

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs build --quiet --site-dir build/site

check: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses 2 --dist worksteal

bench: $(VENV)/.installed-dev
	for file in benchmarks/[a-z]*.py; do $(BIN)/python $$file || exit 1; done

# torch comes first and alone: a range asked for by another package could pull a newer one.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV); the first time this takes some minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .ruff_cache
