# Cambium: `make run` starts a durable single node, `make test` runs everything CI checks.
SHELL := /bin/bash
# Outside of the checkout, so that a fresh clone builds on what an earlier one compiled.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/cambium/target
DATA ?= ./cambium-data

.PHONY: run test bench soak install

run: install
	cargo build --release --workspace --bins
	exec $(CARGO_TARGET_DIR)/release/cambium start --data $(DATA)

test: install
	scripts/test

bench: install
	scripts/bench

# Long runs (an hour): crashes, fuzzing, data sets. Writes docs/soak.md.
soak: install
	scripts/soak

install:
	@scripts/install
