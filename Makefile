# make setup    install what the project needs, in a virtual environment
# make servers  install the servers of older databases, for the tests of imports and make bench
# make test     lint, types, missing migrations, tests
# make rooms    draw docs/architecture.svg from the code
# make messages list in docs/messages.md every sentence that rehome prints
# make demo     migrate, roll back and migrate again on a scratch database

VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup

ifndef SEED
SEED := $(shell date +%s)
endif

.PHONY: help setup servers test lint types check-migrations pytest long properties chaos demo bench rooms messages clean
.DEFAULT_GOAL := help

help:
	@echo "make setup             create $(VENV) and install requirements/dev.txt"
	@echo "make servers           install PostGIS, MariaDB, their driver and pgloader, for tests and bench of imports (Debian, sudo)"
	@echo "make test              lint, types, check-migrations and pytest"
	@echo "make lint|types        ruff | mypy"
	@echo "make check-migrations  fail when a model has changed without a migration"
	@echo "make pytest            the tests; ARGS='-k health' passes arguments on"
	@echo "make long              the tests that take minutes, which make test leaves out"
	@echo "make properties        random models, rows and writes, 2100 times; SEED=1 repeats a run"
	@echo "make demo              migrate, roll back and migrate again on a scratch database"
	@echo "make chaos             half a million writes, 200 kills and 30 crashes beside moves; ARGS='--chaos-seed 7'"
	@echo "make bench             measure moves, writers and imports; ARGS='--rows 5000000' passes arguments on"
	@echo "make rooms             draw docs/architecture.svg from the code"
	@echo "make messages          list in docs/messages.md every sentence that rehome prints"
	@echo "make clean             remove what the tools left behind (not var/, which holds databases)"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter, VENV=folder the environment, DATABASE_URL the server."

setup: $(SETUP)

$(SETUP): requirements/base.txt requirements/dev.txt
	@test -x $(BIN)/python || { python="$(PYTHON)"; : "$${python:=$$(scripts/find_python.sh)}"; \
		test -n "$$python" && echo "Setting up $(VENV) with $$python" && "$$python" -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

servers: $(SETUP)
	scripts/install_servers.sh
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/mysql.txt

test: lint types check-migrations pytest

lint: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(SETUP)
	$(BIN)/mypy

check-migrations: $(SETUP)
	$(BIN)/python manage.py makemigrations --check --dry-run

pytest: $(SETUP)
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

long: $(SETUP)
	$(BIN)/python -m pytest -n $(WORKERS) -m long $(ARGS)

properties: $(SETUP)
	@echo "SEED=$(SEED)"
	$(BIN)/python -m pytest -n 0 --timeout=0 -m "long or not long" --hypothesis-profile=long --hypothesis-seed=$(SEED) tests/properties $(ARGS)

demo: $(SETUP)
	$(BIN)/python scripts/demo.py $(ARGS)

chaos: $(SETUP)
	$(BIN)/python -m pytest -n 0 -s --timeout 0 -m "long or not long" --operations 500000 --kills 200 --stops 30 tests/chaos/test_chaos.py \
		tests/chaos/test_kills.py tests/chaos/test_stops.py $(ARGS)

bench: $(SETUP)
	$(BIN)/python scripts/bench_moves.py $(ARGS)
	$(BIN)/python scripts/bench_writers.py $(ARGS)
	$(BIN)/python scripts/bench_imports.py $(ARGS)

rooms: $(SETUP)
	$(BIN)/python -m scripts.draw_rooms

messages: $(SETUP)
	$(BIN)/python -m scripts.list_messages

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
