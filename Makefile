# Everything a person or CI runs, by name. Each target sets up first what it needs.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
N ?= 50
SEED ?= 1
RUNS ?= 1
VARIANT ?= all
ENGINE ?= http

.DEFAULT_GOAL := help
.PHONY: help setup packages test lint demo demo-check kill-loop incident bench faults docs lock clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: packages $(VENV)/.ready build/front/.built ## Debian packages (as root), the Python environment in .venv, the lab's built site

packages:
	@scripts/debian-packages

$(VENV)/.ready: requirements/dev.lock pyproject.toml | packages
	@scripts/python-environment "$(PYTHON)" "$(VENV)"
	@touch $@

build/front/.built: $(shell find tests/lab/front -type f ! -name '*.py*') scripts/front-site | packages
	@scripts/front-site

$(VENV)/.bench-ready: requirements/bench.lock $(VENV)/.ready
	$(RUN)/python -m pip install --quiet --require-hashes -r requirements/bench.lock
	@touch $@

test: setup lint ## every check and every test; .ci/run calls exactly this
	$(RUN)/python -m pytest -q -n 2 --dist loadfile --durations=15

lint: setup ## form, types, and the rooms' import rules
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

demo: setup ## capture a real documentation site on loopback, index it, leave its web page up
	$(RUN)/python -m tests.lab.demo

demo-check: setup ## the demo without a person: exits 0 only if the captured set is right
	$(RUN)/python -m tests.lab.demo --check

kill-loop: setup ## kill -9 at N random moments of one crawl: make kill-loop ENGINE=http|browser N=50 SEED=1
	$(RUN)/python -m tests.faults.kill_loop --engine $(ENGINE) --n $(N) --seed $(SEED)

incident: setup ## the night of 2026-01-24 on real mounts: make incident VARIANT=hang SEED=3 RUNS=1
	$(RUN)/python -m tests.faults.incident --variant $(VARIANT) --seed $(SEED) --runs $(RUNS)

faults: setup ## the tests that really break things
	$(RUN)/python -m pytest -q tests/faults

bench: setup $(VENV)/.bench-ready ## every figure of docs/benchmarks.md: make bench ONLY=crawling|house|shipping|hanging|night
	$(RUN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(filter-out 1,$(RUNS)),--runs $(RUNS))

docs: setup ## the reference pages that are made from code
	$(RUN)/python -m healtharchive.settings.reference > docs/reference/settings.md

lock: setup ## resolve the newest versions anew, with the hashes of every file of each
	@scripts/lock "$(RUN)"

clean: ## everything that make can make again
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo build
