# Two commands do everything on a fresh machine with Python >= 3.11:
#   make demo    environment, install, the tour: runs/demo/report.html
#   make test    environment, install, lint, types, documents, all tests
# and `make peers` those that compare with open_clip, which is kept out of the environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types docs check peers bench clean

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

# open_clip wants torchvision, which breaks transformers where it was built for another torch: see tests/peers.py.
peers: build/peers/.installed
	OMP_NUM_THREADS=1 PYTHONPATH=build/peers $(BIN)/python -m pytest -p tests.peers -m "not slow" \
	  tests/clip/test_open_clip.py tests/clip/test_open_clip_backbone.py tests/clip/test_preprocess.py tests/api/test_exporting.py

build/peers/.installed: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/peers \
	  open_clip_torch==3.3.0 torchvision==0.28.0 timm==1.0.31 ftfy==6.3.1 wcwidth==0.9.4
	touch $@

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
