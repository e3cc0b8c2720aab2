# Every command works on a fresh clone: what it needs, it makes first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
BROWSER := .venv/browser
WHICH ?= lowest
# Tensors here are small: a second thread costs more than it gives, and changes the last digit.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book test pdf bench site-report site-scores serve notebooks mistakes lint versions gpu clean

help:  ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 14

book: $(INSTALLED)  ## Build the book into _build/html and print the file to open
	@$(BIN)/python tools/make_notebooks.py
	@$(BIN)/python tools/build_book.py

test: lint book $(BROWSER)  ## Run everything: lint, types, unit tests, the built book in a browser
	@$(BIN)/python -m pytest -n 2 --dist loadfile

pdf: book $(BROWSER)  ## Bind the built pages to one PDF, and link it from them
	@$(BIN)/python tools/make_pdf.py

bench: $(INSTALLED)  ## Time our modules beside PyTorch's and Hugging Face's, and the checks: a report
	@$(BIN)/python tools/bench.py
	@$(BIN)/python tools/bench_checks.py

site-report: book $(BROWSER)  ## Ask Lighthouse, axe, vnu and others about the built pages: a report
	@$(BIN)/python tools/site_report.py

site-scores: book $(BROWSER)  ## Ask Lighthouse how fast five pages are, on a phone and a desktop: on a quiet machine
	@$(BIN)/python tools/site_report.py --scores

lint: $(INSTALLED)  ## Check style, types and which file may import which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

serve: $(INSTALLED)  ## Serve the book on localhost and rebuild it on every change
	@$(BIN)/python tools/serve_book.py

notebooks: $(INSTALLED)  ## Fill the exercises into book/*.md, and generate book/*.ipynb from it
	@$(BIN)/python tools/make_notebooks.py

mistakes: $(INSTALLED)  ## Write book/species.md anew: every known mistake, and what catches it
	@$(BIN)/python tools/write_mistakes.py

versions:  ## Test with other versions: WHICH=lowest (those pyproject.toml claims) or newest
	@"$(PYTHON)" tools/try_versions.py "$(WHICH)" --python "$(PYTHON)"

gpu: $(INSTALLED)  ## On a machine with a GPU: test, record times, run the notebooks, say what to look at
	@$(BIN)/python tools/run_on_gpu.py

clean:  ## Remove the environment, the built book and every cache
	rm -rf .venv .venv-lowest .venv-newest _build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.txt pyproject.toml tools/make_environment.sh
	@PYTHON="$(PYTHON)" sh tools/make_environment.sh
	@touch $@

$(BROWSER): $(INSTALLED) tools/find_browser.py
	@$(BIN)/python tools/find_browser.py --install
	@touch $@
