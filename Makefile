# make setup    install what the project needs, in a virtual environment
# make up       run it all at localhost, with sample printers and what polls them, until Ctrl-C
# make servers  install the servers of older databases, for the tests of imports and make bench
# make mysql    unpack a MySQL below var/mysql, for the tests of checkschema
# make browser  the tests in a browser, which it installs
# make metrics  let promtool check what /metrics says
# make test     lint, types, missing migrations, tests
# make rooms    draw docs/architecture.svg from the code
# make docker-up  the farm in containers, for production too: docs/docker.md
# make schema   write api/openapi.yaml from the code of the API
# make messages list in docs/messages.md every sentence that rehome prints
# make docs     build the site of the documentation in build/docs
# make demo     migrate, roll back and migrate again on a scratch database

VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup
READY := $(VENV)/.up
COMPOSE = docker compose
# Of the farm on this machine; with DOCKER=1 in a container of docker-compose.yml, from the image as it was built last.
MANAGE = $(if $(DOCKER),$(COMPOSE) run --rm --no-deps web python,$(BIN)/python) manage.py
INSTALLED = $(if $(DOCKER),,$(READY))
SPHINX = $(BIN)/python -m sphinx -E -W --keep-going -q -c docs -d build/doctrees

ifndef SEED
SEED := $(shell date +%s)
endif

.PHONY: docker-env docker-up docker-down docker-logs image collect migrate superuser shell psql backup restore rehearse ready verify
.PHONY: help setup servers mysql printers printers-test up test lint types check-migrations pytest long properties browser screenshots metrics chaos demo bench django-suites rooms messages schema docs links clean compiled
.DEFAULT_GOAL := help

help:
	@echo "The farm on this machine, or with DOCKER=1 the one in containers; ARGS='--help' passes arguments on:"
	@echo "make migrate|verify    apply migrations | compare both tables of each move that is live"
	@echo "make backup|restore    make a backup | restore one into a new database, prove it, ask, and swap"
	@echo "make rehearse|ready    rehearse the moves on a copy | say whether all is ready for them"
	@echo "make superuser|shell   somebody who may do everything | Python with the models"
	@echo "make psql|collect      the database's own shell | static files, for production"
	@echo
	@echo "The farm in containers (docs/docker.md):"
	@echo "make docker-env        write .env with passwords of its own; HOST=farm.example.com for production"
	@echo "make docker-up         build and start it, and wait until it is ready"
	@echo "make docker-down       stop it; its database and its backups stay"
	@echo "make docker-logs       what it says, until Ctrl-C; ARGS=web chooses"
	@echo "make image             build the image without Docker and run it until it is ready (Debian, root)"
	@echo
	@echo "To develop it:"
	@echo "make setup             create $(VENV) and install requirements/dev.txt"
	@echo "make up                run it all at localhost: web, database, sample printers; PORT=9000, OCTOPRINT=1 adds a real one,"
	@echo "                       CELERY=1 polls by Celery's workers on Redis"
	@echo "make servers           install PostGIS, MariaDB, their driver and pgloader, for tests and bench of imports (Debian, sudo)"
	@echo "make mysql             unpack a MySQL below var/mysql (Debian), for the tests that ask for one"
	@echo "make test              lint, types, check-migrations and pytest"
	@echo "make lint|types        ruff | mypy"
	@echo "make check-migrations  fail when a model has changed without a migration"
	@echo "make pytest            the tests; ARGS='-k health' passes arguments on"
	@echo "make compiled          compile the code, which the tests start hundreds of times"
	@echo "make long              the tests that take minutes, which make test leaves out"
	@echo "make browser           every page in Chromium, which it installs (Debian, sudo): overflow, targets, keyboard, axe"
	@echo "make metrics           what /metrics says, checked by promtool, which it installs (Debian, sudo)"
	@echo "make screenshots       pictures of every page in var/looks, and those of the documents"
	@echo "make printers          install OctoPrint 1.11 and 2.0 and Moonraker below var/printers (gcc; a few minutes)"
	@echo "make printers-test     the clients against those; they are skipped where nothing is installed"
	@echo "make properties        random models, rows and writes, 2100 times; SEED=1 repeats a run"
	@echo "make demo              migrate, roll back and migrate again on a scratch database"
	@echo "make chaos             half a million writes, 200 kills and 30 crashes beside moves; ARGS='--chaos-seed 7'"
	@echo "make bench             measure moves, writers and imports; ARGS='--rows 5000000' passes arguments on"
	@echo "make django-suites     Django's own tests, downloaded, behind views; ARGS='--kind retired queries' chooses"
	@echo "make rooms             draw docs/architecture.svg from the code"
	@echo "make schema            write api/openapi.yaml from the code of the API"
	@echo "make messages          list in docs/messages.md every sentence that rehome prints"
	@echo "make docs              build the site of the documentation, build/docs; a broken link fails it"
	@echo "make links             ask each address of other sites that the documentation names (needs the net)"
	@echo "make clean             remove what the tools left behind (not var/, which holds databases)"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter, VENV=folder the environment, DATABASE_URL the server."

setup: $(SETUP)

$(SETUP): $(READY) requirements/dev.txt requirements/docs.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

# What runs the farm, and nothing to develop it with: a stranger waits for no more.
$(READY): requirements/base.txt requirements/up.txt
	@test -x $(BIN)/python || { python="$(PYTHON)"; : "$${python:=$$(scripts/find_python.sh)}"; \
		test -n "$$python" && echo "Setting up $(VENV) with $$python" && "$$python" -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/up.txt
	@touch $@

servers: $(SETUP)
	scripts/install_servers.sh
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/mysql.txt

mysql: servers
	scripts/install_mysql.sh

test: lint types check-migrations pytest

lint: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(SETUP)
	$(BIN)/mypy

check-migrations: $(SETUP)
	$(BIN)/python manage.py makemigrations --check --dry-run

# Tests start hundreds of programs; where the environment forbids them to keep what they compile, each would do it again.
compiled: $(SETUP)
	@$(BIN)/python -m compileall -q -j 2 manage.py accounts api core legacy_app monitoring portal printers rehome scripts

pytest: compiled
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

long: compiled
	$(BIN)/python -m pytest -n $(WORKERS) -m long $(ARGS)

browser: $(SETUP)
	scripts/install_servers.sh requirements/debian-browser.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/browser.txt
	$(BIN)/python -m pytest -n $(WORKERS) -m browser tests/browser $(ARGS)

metrics: $(SETUP)
	scripts/install_servers.sh requirements/debian-metrics.txt
	$(BIN)/python -m pytest -n 0 -m promtool tests/monitoring $(ARGS)

screenshots:
	$(MAKE) browser ARGS="--screenshots -k 'test_looks or test_pictures' $(ARGS)"

up: $(READY)
	$(if $(OCTOPRINT),@scripts/install_printers.sh octoprint-1.11)
	@PORT=$(PORT) OCTOPRINT=$(OCTOPRINT) CELERY=$(CELERY) $(BIN)/python scripts/up.py

docker-env:
	@deploy/docker_env.sh $(HOST)

# The former containers serve until the database has the migrations of what was built.
docker-up:
	$(COMPOSE) build
	$(COMPOSE) up --detach --wait db redis
	$(COMPOSE) run --rm --no-deps migrate
	$(COMPOSE) up --detach --wait --remove-orphans

# Without ARGS: volumes hold the database, and no word that is typed here deletes them.
docker-down:
	$(COMPOSE) --profile '*' down --remove-orphans

docker-logs:
	$(COMPOSE) logs --follow --tail 100 $(ARGS)

image:
	deploy/image.sh

collect: $(INSTALLED)
	$(MANAGE) collectstatic --noinput $(ARGS)

migrate: $(INSTALLED)
	$(MANAGE) migrate $(ARGS)

superuser: $(INSTALLED)
	$(MANAGE) createsuperuser $(ARGS)

shell: $(INSTALLED)
	$(MANAGE) shell $(ARGS)

psql: $(INSTALLED)
	$(MANAGE) dbshell $(ARGS)

backup: $(INSTALLED)
	$(MANAGE) backup $(ARGS)

restore: $(INSTALLED)
	$(MANAGE) restorebackup $(ARGS)

rehearse: $(INSTALLED)
	$(MANAGE) rehearsemoves $(ARGS)

ready: $(INSTALLED)
	$(MANAGE) moveready $(ARGS)

verify: $(INSTALLED)
	$(MANAGE) verifymoves $(ARGS)

printers:
	scripts/install_printers.sh

printers-test: $(SETUP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m printers tests/printers/real $(ARGS)

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
	$(BIN)/python scripts/bench_portal.py $(ARGS)
	$(BIN)/python scripts/bench_farm.py $(ARGS)
	$(BIN)/python scripts/bench_monitoring.py $(ARGS)
	$(BIN)/python scripts/bench_api.py $(ARGS)
	$(BIN)/python scripts/bench_history.py $(ARGS)
	$(BIN)/python scripts/bench_backups.py $(ARGS)
	$(BIN)/python scripts/bench_rehearsal.py $(ARGS)

django-suites: $(SETUP)
	$(BIN)/python -m scripts.django_suites $(ARGS)

rooms: $(SETUP)
	$(BIN)/python -m scripts.draw_rooms

schema: $(SETUP)
	$(BIN)/python manage.py spectacular --file api/openapi.yaml --validate --fail-on-warn

messages: $(SETUP)
	$(BIN)/python -m scripts.list_messages

docs: $(SETUP)
	$(SPHINX) -b html . build/docs
	@echo "Open build/docs/index.html"

links: $(SETUP)
	$(SPHINX) -b linkcheck . build/links

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
