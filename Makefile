# Every target does the set-up it needs: Python 3.11+ and make are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DOCS   := $(VENV)/.docs-installed
SAMPLE := data/sample
PAGES  := ui/frontend
NODE   := $(PAGES)/node_modules/.installed
NPM    := PATH="$(abspath $(BIN)):$$PATH" npm --prefix $(PAGES) --silent

.PHONY: setup check check-pages bundle test demo docs screenshots bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "cbir needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory check-pages

# The components of the browser pages: types, tests, and whether the bundle is what they make.
check-pages: $(NODE)
	$(NPM) run check

# Bundle them into ui/bundle, which is committed.
bundle: $(NODE)
	$(NPM) run build

$(NODE): $(PAGES)/package-lock.json $(STAMP)
	$(NPM) ci
	touch $@

# Passive: a worker's idle threads must not take the cores from the other workers by spinning.
# A text file opened without an encoding fails: what a machine takes then is not always UTF-8.
test: setup $(NODE)
	OMP_WAIT_POLICY=passive PYTHONWARNDEFAULTENCODING=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

demo: setup
	$(BIN)/cbir index $(SAMPLE)/images --store demo-out/.cbir
	$(BIN)/cbir query $(SAMPLE)/images/cat-1.jpg --store demo-out/.cbir -k 8 \
		--montage demo-out/cat.jpg --html demo-out/cat.html
	$(BIN)/cbir query $(SAMPLE)/images/coffee-1.jpg --store demo-out/.cbir -k 8 \
		--search region --montage demo-out/cup-regions.jpg
	$(BIN)/cbir localize $(SAMPLE)/images/coffee-1.jpg $(SAMPLE)/images/scene-cat-and-cup.jpg \
		--store demo-out/.cbir --out demo-out/cup
	@echo "Look at demo-out/cat.jpg (or cat.html), cup-regions.jpg and cup/overlay.png"

# Open site/index.html; for the search box, run `.venv/bin/mkdocs serve`. A warning is an error.
docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(DOCS): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

# Needs Chromium: apt-get install chromium
screenshots: setup
	$(BIN)/python -m docs.make_screenshots

# PHOTOS=folder: photos to measure the speed with; MANIFESTS="a.json b.json": labelled ones to
# measure the quality with. About an hour for a thousand photos.
bench: setup
	@test -n "$(MANIFESTS)" -a -n "$(PHOTOS)" \
		|| { echo 'usage: make bench MANIFESTS="a/manifest.json b/manifest.json" PHOTOS=folder'; exit 2; }
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.pooling $(MANIFESTS)
	$(BIN)/python -m benchmarks.regions $(MANIFESTS)
	$(BIN)/python -m benchmarks.localization
	$(BIN)/python -m benchmarks.cold $(PHOTOS) --json
	$(BIN)/python -m benchmarks.indexing $(PHOTOS) --json
	$(BIN)/python -m benchmarks.query $(PHOTOS) --json
	$(BIN)/python -m benchmarks.closeup $(PHOTOS) --json
	$(BIN)/python -m benchmarks.search $(PHOTOS) --rows 100000 1000000 10000000 --json
	$(BIN)/python -m benchmarks.memory $(PHOTOS) --json
	$(BIN)/python -m benchmarks.browser $(PHOTOS) --json
	$(BIN)/python -m benchmarks.teaching $(MANIFESTS) --every 8

clean:
	rm -rf $(VENV) demo-out site .mypy_cache .ruff_cache .pytest_cache .hypothesis
