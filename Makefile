# Everything runs in .venv, made here from requirements.lock; nothing else of yours is touched.
PYTHON ?= python3
MINUTES ?= 5
SEED ?= 1
SAMPLE ?= 200
BIN := .venv/bin
PACKAGES := schemas topology streams testing embedded connectors cli bench examples
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Headrace needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "installing the locked dependencies into .venv (a minute, once)"
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@touch $@

.venv/.installed: .venv/.locked pyproject.toml
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The folders under the names by which they are imported, for tools that do not ask Python where a package is.
build/tree/.made: Makefile
	@mkdir -p build/tree/headrace
	@for p in $(PACKAGES); do ln -sfn "$(CURDIR)/$$p" "build/tree/headrace/$$p"; done
	@for f in __init__.py extras.py moved.py py.typed; do ln -sfn "$(CURDIR)/headrace/$$f" "build/tree/headrace/$$f"; done
	@touch $@

setup: .venv/.installed build/tree/.made ## virtual environment with locked dependencies

kafka-jars: setup ## fetch Apache Kafka once (about 55 MB)
	$(BIN)/headrace kafka fetch

demo: setup ## real poker hands through real Kafka
	$(BIN)/headrace demo

check: setup ## ruff, mypy strict, import-linter, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p headrace
	$(BIN)/mypy -p tests
	cd build/tree && $(CURDIR)/$(BIN)/lint-imports --config $(CURDIR)/pyproject.toml
	$(BIN)/python tests/check_generated.py

unit: setup ## tests without Kafka
	$(BIN)/pytest -q -n 2 --dist loadfile tests/unit

# Tests on Kafka wait more than they compute, so three files run at a time, of those with heavy servers one; the short
# ones of tests/unit come last.
test: setup kafka-jars ## all tests, with real Kafka
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests

one: setup ## one test, file or folder: make one T=tests/unit/steps
	$(BIN)/pytest -q $(T)

# no test of these is taken to hang: how long they run is asked for
LONG = -o faulthandler_timeout=0

chaos: setup kafka-jars ## the poker room in chaos for MINUTES=5, then editions that come and go
	CHAOS_MINUTES=$(MINUTES) $(BIN)/pytest $(LONG) -q -s tests/kafka/test_room_chaos.py
	CHAOS_KILLS=20 CHAOS_EDITIONS=20 $(BIN)/pytest $(LONG) -q -s tests/kafka/test_editions_workers.py -k chaos

fuzz: setup kafka-jars ## 100,000 cases for the steps, then records into a real worker for MINUTES=5
	FUZZ_CASES=100000 $(BIN)/pytest $(LONG) -q tests/unit/steps/test_any_record.py
	FUZZ_MINUTES=$(MINUTES) $(BIN)/pytest $(LONG) -q -s tests/kafka/test_fuzz.py

soak: setup kafka-jars ## faults of all kinds, one after the other, for MINUTES=5
	SOAK_MINUTES=$(MINUTES) $(BIN)/pytest $(LONG) -q -s tests/kafka/test_soak.py

bench: setup kafka-jars ## measure all, beside bare loops; but not the peers
	$(BIN)/headrace bench all

bench-peers: setup kafka-jars ## measure the engine beside Kafka Streams and Quix Streams
	$(BIN)/headrace bench peers

proto: setup ## generate Python from the .proto files
	$(BIN)/python tests/check_generated.py --write

format: setup ## let ruff format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

mutate: setup ## break the code, and see whether the unit tests notice: SEED=1 SAMPLE=200 ONLY=streams/steps
	$(BIN)/python -m tests.mutate --seed $(SEED) --sample $(SAMPLE) --only "$(ONLY)"

# The image's lock is a part of the other one: the same versions, less of them.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
lock: setup ## pin all dependencies anew
	$(COMPILE) --extra all --group dev pyproject.toml -o requirements.lock
	$(COMPILE) --constraint requirements.lock --extra demo --extra otel --extra redis --group build pyproject.toml -o requirements-runtime.lock

T ?= tests/unit
.PHONY: help setup kafka-jars demo check unit test one chaos fuzz mutate bench bench-peers proto format lock soak
