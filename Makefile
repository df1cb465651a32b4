# All of it runs in the product's own world (tests/world): Debian 13, its Python, its tools. A machine needs
# Debian 12 or 13, root, and the way to a Debian mirror and PyPI; what else is missing, image/build installs.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

WORLD := tests/world
# One cache for each tool, below build/, so that the sources stay clean.
PYTEST := python3 -m pytest -o cache_dir=build/pytest_cache
# Two files at a time: for tests that time does not matter to, or that wait patiently for an emulated processor.
PYTEST_TWO := $(PYTEST) -n 2 --dist loadfile
RUFF := RUFF_CACHE_DIR=build/ruff_cache ruff
MYPY := mypy --strict --cache-dir=build/mypy_cache
SOURCES := appliance tests
LINT := $(RUFF) check --quiet $(SOURCES); $(RUFF) format --quiet --check $(SOURCES); \
	$(MYPY) appliance tests/lab tests/labs/faults tests/vm tests/images tests/demo tests/bench
# After the labs, since an emulated processor beside them is too slow for what a box may take.
EMULATED := tests/labs/test_kernel_engine.py tests/labs/test_pppoe.py
# Labs that count milliseconds have the machine to themselves; the others wait most of the time, and run two at a time.
ALONE := harness hitless kill pair_connections pair_lease pair_pppoe pair_takeover pair_update pair_voice peer self_healing
ALONE := $(ALONE:%=tests/labs/test_%.py)
# Of the image's tests (test-image) what an hour of CI has time for; the longest first.
FLASHED := tests/images/test_update.py tests/images/test_first_boot.py tests/images/test_arm64.py tests/images/test_wizard_console.py
# What those leave of the processors is enough for the images, and no more.
IDLE := env --default-signal=INT,QUIT chrt --idle 0 nice -n 19

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: rootfs
rootfs: ## build the product's root file system (build/rootfs); nothing to do costs a fifth of a second
	@image/build rootfs

.PHONY: devroot
devroot: ## the same with the test tools (build/devroot)
	@image/build devroot

.PHONY: image
image: ## the image that a person flashes (build/image/); ARCH=arm64: for the Raspberry Pi
	@image/build image

.PHONY: reproducible
reproducible: ## the image built twice from nothing, and compared bit for bit (four minutes)
	@image/reproduce

.PHONY: check
check: ## lint, types and unit tests, in seconds
	@$(WORLD) bash -euc '$(LINT); $(PYTEST_TWO) -q tests/unit'

.PHONY: test
test: ## everything: check, all labs with booted boxes, and both images: first boot, updates, setup
	@$(WORLD) bash -euc '$(LINT); $(PYTEST_TWO) tests/unit'
	@$(IDLE) bash -c 'trap "kill \$$!" TERM; for arch in "$$(dpkg --print-architecture)" arm64; do \
	    ARCH=$$arch image/build image & wait $$! || exit 1; done' 2>build/images.log & \
	trap 'kill $$! 2>/dev/null || :; exit 130' INT TERM; failed=; \
	$(WORLD) $(PYTEST_TWO) --durations=40 $(ALONE:%=--ignore=%) $(EMULATED:%=--ignore=%) tests/labs || failed=labs; \
	wait $$! || { cat build/images.log; failed="$$failed images"; }; \
	$(WORLD) $(PYTEST) --durations=40 $(ALONE) || failed="$$failed alone"; [ -z "$$failed" ]
	@$(WORLD) $(PYTEST_TWO) -rP --durations=0 $(FLASHED) $(EMULATED)

.PHONY: test-lab
test-lab: ## one lab: make test-lab LAB=harness (tests/labs/test_harness.py; its log: build/lab-logs/)
	@$(if $(LAB),,$(error which lab? make test-lab LAB=harness))$(WORLD) $(PYTEST) -q tests/labs/test_$(subst -,_,$(LAB)).py

.PHONY: fuzz
fuzz: ## the two parsers that meet unsigned bytes, with many more inputs than `check` takes (FUZZ=20000 of each kind)
	@$(WORLD) env HYPOTHESIS_EXAMPLES=$(or $(FUZZ),20000) $(PYTEST) -q tests/unit/bundle/test_envelope.py \
	tests/unit/config/test_hostile_files.py

.PHONY: test-image
test-image: image ## the image booted from its disk file: Secure Boot, first boot, power cuts, an office (minutes)
	@$(WORLD) $(PYTEST) -q -rP $(if $(filter arm64,$(ARCH)),tests/images/test_arm64.py,--ignore=tests/images/test_arm64.py tests/images)

.PHONY: golden
golden: ## rewrite the expected outputs of the cases; then read the diff
	@$(WORLD) bash -euc 'for cases in config firewall pair peering setup status; do python3 -m tests.unit.$$cases.cases; done'

.PHONY: pictures
pictures: ## the main screens as pictures for the README (docs/pictures)
	@$(WORLD) python3 -m tests.pictures

.PHONY: demo
demo: ## a box, a branch, a laptop and an office host, live (DEMO_SECONDS=30 stops by itself)
	@$(WORLD) python3 -m tests.demo

.PHONY: bench
bench: ## measure beside wg-quick and wg syncconf; writes build/bench.json
	@$(WORLD) python3 -m tests.bench

.PHONY: bench-failover
bench-failover: ## each failure of a box, ours beside a plain keepalived + wg-quick pair (BENCH_RUNS=20)
	@$(WORLD) python3 -m tests.bench.failover $(EVENTS)

.PHONY: bench-doctor
bench-doctor: ## each fault made, and what `appliance doctor` says of it; writes build/bench-doctor.txt
	@$(WORLD) python3 -m tests.bench.doctor

.PHONY: run
run: ## the product's own command line: make run ARGS="check office.yaml" (any path of this machine)
	@$(WORLD) --files appliance $(ARGS)

.PHONY: clean
clean: ## remove build/
	@rm -rf --one-file-system build
