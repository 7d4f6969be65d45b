# Everything a person or CI runs, by name. Each target sets up first what it needs.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
REPLAY := src/healtharchive/web/replay_assets
HTMX := src/healtharchive/web/static/htmx
N ?= 50
SEED ?= 1
RUNS ?= 1
CAPTURES ?= 1000000
VARIANT ?= all
ENGINE ?= http

.DEFAULT_GOAL := help
.PHONY: help setup packages test lint demo demo-check e2e kill-loop incident night bench bench-browser search-eval bench-search change-eval faults systemd-lab pictures docs site lock clean

help: ## what can be made
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: packages $(VENV)/.ready build/front/.built build/judges/.ready $(REPLAY)/VERSION $(HTMX)/VERSION ## Debian packages (as root), the Python environment in .venv, replayweb.page, htmx, the lab's built site, the judges' packages

packages:
	@scripts/debian-packages

$(VENV)/.ready: requirements/dev.lock pyproject.toml | packages
	@scripts/python-environment "$(PYTHON)" "$(VENV)"
	@touch $@

build/front/.built: $(shell find tests/lab/front -type f ! -name '*.py*') scripts/front-site | packages
	@scripts/front-site

$(REPLAY)/VERSION: scripts/replay-web | packages
	@scripts/replay-web
	@touch $@

$(HTMX)/VERSION: scripts/htmx | packages
	@scripts/htmx
	@touch $@

$(VENV)/.bench-ready: requirements/bench.lock $(VENV)/.ready
	$(RUN)/python -m pip install --quiet --require-hashes -r requirements/bench.lock
	@touch $@

# Other people's servers and testers that judge ours: pywb's packages are older than ours.
build/judges/.ready: requirements/judges.lock | packages
	$(PYTHON) -m venv --clear build/judges
	build/judges/bin/python -m pip install --quiet --require-hashes -r requirements/judges.lock
	@touch $@

# What our own packages exclude: brozzler's cryptography is older. reppy is compiled (g++).
build/peers/.ready: requirements/bench-browser.lock | packages
	$(PYTHON) -m venv --clear build/peers
	build/peers/bin/python -m pip install --quiet --require-hashes -r requirements/bench-browser.lock
	@touch $@

test: setup lint ## every check and every test but the long ones; .ci/run calls exactly this
	$(RUN)/python -m pytest -q -m "not long" -n 3 --dist loadfile --no-loadscope-reorder --durations=40

lint: setup ## form, types, and the rooms' import rules
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

demo: setup ## capture a real documentation site on loopback, index it, leave its web page up
	$(RUN)/python -m tests.lab.demo

demo-check: setup ## the demo without a person: exits 0 only if the captured set is right
	$(RUN)/python -m tests.lab.demo --check

e2e: setup ## what readers do, in a real Chromium: search, replay, compare, cite, download
	$(RUN)/python -m pytest -q tests/e2e

kill-loop: setup ## kill -9 at N random moments of one crawl: make kill-loop ENGINE=http|browser|container N=50 SEED=1
	$(RUN)/python -m tests.faults.kill_loop --engine $(ENGINE) --n $(N) --seed $(SEED)

incident: setup ## the night of 2026-01-24 on real mounts: make incident VARIANT=hang SEED=3 RUNS=1
	$(RUN)/python -m tests.faults.incident --variant $(VARIANT) --seed $(SEED) --runs $(RUNS)

night: setup ## the night of 2026-01-24 in six simulated hours: alerts, actions, claims, the drafted document
	$(RUN)/python -m tests.faults.six_hours

faults: setup ## the tests that really break things, the long ones too
	$(RUN)/python -m pytest -q tests/faults
	$(RUN)/python -m pytest -q -m long tests/integration tests/judges

systemd-lab: setup ## installed under a real systemd (root), the long tests too: kills, hangs, stops, fast failures, dead mounts
	$(RUN)/python -m pytest -q tests/systemd

bench: setup $(VENV)/.bench-ready $(if $(filter browser,$(or $(ONLY),browser)),build/peers/.ready) ## every figure of docs/benchmarks.md: make bench ONLY=crawling|house|shipping|hanging|wacz|night|browser|browser-memory
	$(RUN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(filter-out 1,$(RUNS)),--runs $(RUNS))

bench-browser: setup build/peers/.ready ## the figures of the browser engine, beside brozzler: make bench-browser RUNS=5
	$(RUN)/python -m tests.bench --only browser --runs $(if $(filter-out 1,$(RUNS)),$(RUNS),5)
	$(RUN)/python -m tests.bench --only browser-memory

search-eval: setup ## how well search ranks: nDCG@10 over 60 judged queries, beside SQLite FTS5 and PostgreSQL
	$(RUN)/python -m tests.bench.search_eval

bench-search: setup ## latency, size and build time of search, side by side: make bench-search CAPTURES=1000000 SEED=1
	$(RUN)/python -m tests.bench.search_bench --captures $(CAPTURES) --seed $(SEED) $(if $(filter 1000000,$(CAPTURES)),--write)

change-eval: setup ## do real edits of pages rank above what their site changes around them: make change-eval SEED=1
	$(RUN)/python -m tests.bench.change_eval --seed $(SEED)

pictures: setup ## screenshots of the main pages into build/pictures: both languages, day and night, phone and desk
	$(RUN)/python -m tests.lab.looks

docs: setup ## the reference pages that are made from code
	$(RUN)/python -m healtharchive.settings.reference > docs/reference/settings.md
	$(RUN)/python -m healtharchive.web.metrics_reference > docs/reference/metrics.md
	$(RUN)/python -m healtharchive.steward.monitoring

site: setup ## the documentation as HTML in build/site; a broken link or a page nobody leads to is an error
	$(RUN)/python -m sphinx -W --keep-going -n -q -b html -d build/site-doctrees docs build/site

lock: setup ## resolve the newest versions anew, with the hashes of every file of each
	@scripts/lock "$(RUN)"

clean: ## everything that make can make again
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo build
