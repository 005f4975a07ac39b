# Everything runs in .venv, which is made anew when the requirements change.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
# Kept whatever the environment says: without it each of hundreds of processes compiles the project anew.
export PYTHONDONTWRITEBYTECODE :=

# Python 3.11 or 3.12: yours with PYTHON=…, else the first that fits.
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && \
	{ echo $$p; exit; }; done; echo python3)
RUN := .venv/bin/python
LAUNCHER := $(RUN) -m paymentsite.launcher
READY := .venv/.installed
# The pip that comes with Python compares each wheel of an index with each platform: twice the time.
# Modules are compiled when they are first imported: most of what the libraries bring never is.
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --no-input --no-compile
# Judges safety alone: how fast all comes to rest is for `make chaos` on a quiet machine.
CHAOS_SMALL := $(RUN) -m bench.chaos --payments 110 --kills 7 --seed 2026 --time-factor 5

.PHONY: help demo serve test checked-and-tested lint quick bench bench-webhooks bench-reconciliation chaos chaos-small chaos-selftest model matrix browser clients grow

help:
	@echo "make demo    one business day on this machine, then keep serving (ONCE=1: stop after the day)"
	@echo "make serve   every process, no scripted day"
	@echo "make test    every check and test"
	@echo "make lint    the checks alone"
	@echo "make quick   checks, and tests of what changed since main and what imports it, in a minute (SINCE=commit)"
	@echo "make bench   measure (see bench/)"
	@echo "make grow    months of made-up history in the database of make serve (PAYMENTS= MONTHS= SEED=)"
	@echo "make bench-reconciliation   a large settlement report, stage by stage (LINES= SEED= WORKERS=)"
	@echo "make bench-webhooks   the relay of events under load (DELIVERIES=, see docs/webhooks.md)"
	@echo "make clients  old and new SDKs and others' packages against a fresh installation (ONLY=words)"
	@echo "make matrix  every combination and order, and more random examples"
	@echo "make browser  the checkout page in Chromium, with axe"
	@echo "make model   random lives of merchants, their PSP and time (EXAMPLES=)"
	@echo "make chaos   kill and lie to all of it, and count (PAYMENTS= KILLS= SEED=, see docs/chaos.md)"

demo: $(READY)
	@ONCE=$(ONCE) $(LAUNCHER) demo

serve: $(READY)
	@$(LAUNCHER) serve

# The small chaos run mostly waits: the checks run beside it, and then the first tests.
test: $(READY)
	@$(MAKE) -j2 chaos-small checked-and-tested

# Each process begins with a part of its own of the list: few start the servers that the tests of a folder
# or file share.
checked-and-tested: lint
	@$(LAUNCHER) run -- $(RUN) -m pytest -q -n 4 --dist worksteal

lint: $(READY)
	@$(RUN) -m paymentsite.tidy.checks

quick: $(READY)
	@SINCE=$(SINCE) $(RUN) -m paymentsite.tidy.quick

bench: $(READY)
	@$(RUN) -m bench

grow: $(READY)
	@$(RUN) -m bench.growth --payments $(or $(PAYMENTS),100000) --months $(or $(MONTHS),6) --seed $(or $(SEED),1)

browser: $(READY)
	@BROWSER_TESTS=1 $(LAUNCHER) run -- $(RUN) -m pytest -q payments/tests/http/test_checkout_page.py payments/tests/http/fields payments/tests/http/test_demo_day.py -k 'checkout_page or card_fields or chromium'

clients: $(READY)
	@$(RUN) -m bench.clients $(ONLY)

bench-webhooks: $(READY)
	@$(RUN) -m bench.webhooks --deliveries $(or $(DELIVERIES),50000)

bench-reconciliation: $(READY)
	@$(RUN) -m bench.reconciliation --lines $(or $(LINES),10000) --seed $(or $(SEED),1) --workers $(or $(WORKERS),1)

chaos: $(READY)
	@PAYMENTS=$(PAYMENTS) KILLS=$(KILLS) SEED=$(SEED) $(RUN) -m bench.chaos

chaos-small: $(READY)
	@$(CHAOS_SMALL)

chaos-selftest: $(READY)
	@$(RUN) -m bench.chaos.selftest

matrix: $(READY)
	@WHOLE_MATRIX=1 $(LAUNCHER) run -- $(RUN) -m pytest -q -n 3 -m matrix

model: $(READY)
	@MODEL_EXAMPLES=$(or $(EXAMPLES),1000) $(LAUNCHER) run -- $(RUN) -m pytest -q payments/tests/scenarios/test_model.py

$(READY): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 12) or \
	sys.exit("error: $(PYTHON) is Python %d.%d: install Python 3.11 or 3.12, or name one with PYTHON=python3.12" % v)'
	@$(PYTHON) -c 'import shutil, sys; f = shutil.disk_usage(".").free >> 20; f >= 1024 or \
	sys.exit("error: only %d MB are free on this disk: make room for 1 GB" % f)'
	@echo "  …  make .venv and install the requirements (a minute the first time)"
	@$(PYTHON) -m venv .venv
	@$(PIP) pip==26.2 || echo "  …  this pip cannot be had: installing with the one of Python"
	@$(PIP) -r requirements-dev.txt
	@touch $@
	@echo "  ok make .venv and install the requirements"
