# One command each; whatever is missing is installed or named. `make` alone says what there is.
LAB ?= cutover-lab
LAB_PORT ?= 22000
ENGINE ?= mariadb
TARGET_ENGINE ?=
WEB ?= apache
WAY ?= proxy
KEEP ?=
JOBS ?=
INVENTORY ?=
LIMIT ?=
SCENARIOS ?=
BENCH ?= pauses
ROWS ?= $(if $(filter pauses,$(BENCH)),0,$(if $(filter media,$(BENCH)),100000,1000000))
export LAB LAB_PORT ENGINE TARGET_ENGINE WEB WAY KEEP JOBS INVENTORY LIMIT
export PATH := $(CURDIR)/.venv/bin:$(PATH)

STAMP := .venv/.stamp
SUITES := $(sort bullseye trixie $(filter bookworm,$(OLD) $(NEW)))
# With these `make test` would be longer than it may; its integration tests move a site on MariaDB under traffic.
LONG := migrate-mariadb migrate-mysql migrate-postgresql operations-changes operations-default scheduled_backup-places \
	valve-backends $(addsuffix -alternative,apache gunicorn monitoring mysql nginx postgresql scheduled_backup)
LONG_TESTS := $(patsubst %,tests/integration/test_%.py,copyover operations rest_of_the_site survey widening)

.PHONY: help setup images lab demo interrupt faults bench long test lint docs unit molecule integration verify down clean

help:  ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14
	@echo; echo "LAB and LAB_PORT name a lab and its first port; KEEP=1 leaves the lab up after the demo."
	@echo "ENGINE=mariadb, mysql, postgresql or two with a comma, one of them postgresql: what the site's databases run on."
	@echo "TARGET_ENGINE=mysql beside ENGINE=mariadb: they go over by copy while requests wait."
	@echo "WEB=apache or nginx: the old server's web server."
	@echo "WAY=proxy, failover-ip or dns: what happens to the site's address."
	@echo "OLD=bookworm, NEW=bookworm: the old server's Debian, and the new ones'."

setup: $(STAMP)  ## virtual environment from requirements.txt, the checkout as a collection

$(STAMP): requirements.txt pyproject.toml tests/lab/setup.sh
	@sh tests/lab/setup.sh
	@touch $@

images: $(STAMP)  ## Docker engine and the lab's base images
	@sh tests/lab/engine.sh
	@sh tests/lab/images.sh $(SUITES)

lab: images  ## the old server with its sites, and four new ones with nothing on them
	@python -m tests.lab provision
	@python -m tests.lab status

demo: images  ## one complete migration under traffic: build/demo/report.json
	@python -m tests.lab.demo

interrupt: images  ## the controller killed in every phase, the same command goes on: build/interrupt/report.json
	@python -m tests.lab.interrupt

faults: images  ## faults under traffic: build/faults/report.json; FAULTS="key key" for some, SEED=n WALK=seconds at random, JOBS=2 in two labs
	@python -m tests.faults

bench: images  ## build/bench/ENGINE/: BENCH=pauses (five times under traffic), media (with ROWS files and without), proof (beside plain reading), copy or backup (what one costs), ROWS=; survey (500 virtual hosts, 200 databases)
	@PYTHONPATH=build/collections:. python -m tests.bench.$(BENCH) --rows $(ROWS)

test:  ## all tests but those of `make long`
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target lint unit images
	@$(MAKE) --no-print-directory molecule integration

lint: $(STAMP)  ## ruff, mypy, the generated pages, ansible-lint; of the scenarios, which are run anyway, in `make long`
	@ruff check .
	@ruff format --check .
	@mypy
	@ansible-lint --offline -q --exclude molecule
	@python docs/generate.py --check

docs: $(STAMP)  ## the tables of the docs, from the code
	@python docs/generate.py

unit: $(STAMP)  ## unit tests
	@pytest -n auto

molecule: images  ## every role on real machines; SCENARIOS="nginx-default" for some
	@python -m tests.molecule --jobs 2 $(or $(SCENARIOS),$(patsubst %,--but %,$(LONG)))

integration: images  ## whole migrations, forward and back
	@pytest tests/integration -x -n 2 --durations=12 --durations-min=20 $(LONG_TESTS:%=--ignore=%)

long: images  ## what `make test` leaves out: roles with everything set, a migration on each engine, keys widened on the way, MariaDB to MySQL by copy, the manual under traffic, uploads, jobs and the neighbour, a survey's draft moved
	@ansible-lint --offline -q
	@python -m tests.molecule --jobs 2 $(LONG)
	@pytest $(LONG_TESTS) -x

verify: $(STAMP)  ## look at servers in use, changing nothing: INVENTORY=inventories/shop/hosts.yml, LIMIT=web
	@pytest tests/verify -q -p no:cacheprovider

down: $(STAMP)  ## this lab away, images kept
	@python -m tests.lab down

clean: $(STAMP)  ## every container, network, volume and image made here away
	@python -m tests.lab clean
