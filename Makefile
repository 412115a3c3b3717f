# Python that the project's own environment is made from; 3.11 or newer.
PYTHON ?= python3
# Folder of the stack that up, down, status, put, show and reset mean; the demo's is .local/demo.
STACK ?= .local/stack
# Ports of `make up`: 0 takes any free one.
export AIRFLOW_PORT BUCKET_PORT DATABRICKS_PORT SPARK_PORT
# make's own AS is the assembler.
AS :=
PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help install demo test soak chaos cases up down status put show reset env schema lint lock mutants bench pictures

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install what is missing into .venv and .local (the others do it first where they need it)
	@$(PYTHON) -m local.install

demo: install ## the whole pipeline at work: two days of files, from bucket to table (KEEP=1 leaves it running)
	@$(PY) -m local.demo $(if $(KEEP),--keep)

test: install ## every test, the end-to-end ones included: two at a time, as one of them often only waits
	@$(PY) -m pytest --numprocesses=2 --dist=loadgroup --durations=10 $(ARGS)

soak: install ## the long runs: kills at any moment, many property examples
	@$(PY) -m pytest -m soak --durations=10 $(ARGS)

chaos: install ## N cycles of deliveries and runs with a kill in each, in a stack of its own (N=50 SEED=)
	@CHAOS_CYCLES=$(or $(N),50) CHAOS_SEED=$(SEED) CHAOS_REPORT=.local/chaos.md $(PY) -m pytest -m chaos tests/e2e/chaos

cases: install ## tests/cases on a real workspace, an empty bucket and an empty schema (PROFILE= BUCKET= SCHEMA= [COMPUTE=])
	@$(if $(and $(PROFILE),$(BUCKET),$(SCHEMA)),,$(error make cases PROFILE=<of ~/.databrickscfg> BUCKET=<empty> SCHEMA=<catalog.schema, empty> [COMPUTE=serverless]))
	@CASES_PROFILE=$(PROFILE) CASES_BUCKET=$(BUCKET) CASES_SCHEMA=$(SCHEMA) CASES_COMPUTE='$(COMPUTE)' $(PY) -m pytest tests/cases

up: install ## start the stack and keep it running (AIRFLOW_PORT=, BUCKET_PORT=, DATABRICKS_PORT=, SPARK_PORT=)
	@$(PY) -m local.stack up --home $(STACK)

down: install ## stop it; data stay
	@$(PY) -m local.stack down --home $(STACK)

status: install ## what runs, since when, where
	@$(PY) -m local.stack status --home $(STACK)

# Through the environment, as they are: within the recipe, make and shell would carry out what stands in a name.
put: export PUT_FILE = $(value FILE)
put: export PUT_AS = $(value AS)
put: install ## deliver a file: make put FILE=path [AS=name]
	@$(if $(FILE),,$(error which file? make put FILE=path [AS=name]))$(PY) -m local.put --home $(STACK) "$$PUT_FILE" $${PUT_AS:+--as "$$PUT_AS"}

show: install ## tables and bucket, in the terminal (ROWS=20)
	@$(PY) -m local.show --home $(STACK) $(if $(ROWS),--rows $(ROWS))

reset: install ## stop the stack and forget its data; what is installed stays
	@$(PY) -m local.stack reset --home $(STACK)

env: ## write .env, with fresh secrets, for docker compose
	@$(PYTHON) local/compose_env.py

schema: install ## make dags/feeds/feed.schema.json, by which editors check a feed's YAML, from the model of a feed
	@$(PY) -m ingestion.pipeline.feed_schema > dags/feeds/feed.schema.json

lint: install ## ruff: rules and formatting; zizmor: the workflows
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/zizmor --offline --strict-collection --quiet --no-progress .github

LOCK := .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" --quiet

lock: install ## make requirements.lock from requirements.txt, and local/tools.lock
	@$(LOCK) requirements.txt --output-file requirements.lock
	@$(LOCK) local/tools.in --output-file local/tools.lock

mutants: install ## sabotage the code, one fault at a time: each must turn its named test red
	@$(PY) -m tests.mutants

bench: install ## the jobs beside their peers, into bench/results (SIZE=full, ARGS="--only S3"); see bench/README.md
	@$(PY) -m bench --size $(or $(SIZE),small) $(ARGS)

pictures: install ## the pictures of README.md, of the stack that `make demo KEEP=1` left running (needs chromium)
	@UV_SYSTEM_CERTS=true .venv/bin/uv pip install --quiet --target .local/pictures playwright==1.65.2
	@PYTHONPATH=.local/pictures $(PY) -m local.pictures
