# The targets that people and CI use. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# One set of features for all tests, so that nothing is built twice. Those on a cluster
# run where one is brought up for them.
TESTS := --workspace --locked --features palisade-backend-kube/cluster-tests
.PHONY: help setup build demo dev test fmt lint docs deny unit test-network test-kube test-kube-api fuzz sdk story bench bench-kube clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install what building, testing and the demo need
	scripts/setup.sh

build: ## Build the two binaries, optimised
	cargo build --release --locked -p palisade -p cwic

demo: ## See the whole story happen on this machine
	scripts/setup.sh demo
	$(MAKE) build
	scripts/demo.sh

dev: build ## Run the platform in the foreground
	"$${CARGO_TARGET_DIR:-$$PWD/target}/release/palisade" dev

test: ## Run everything that CI runs
	scripts/setup.sh test
	$(MAKE) fmt lint docs deny unit test-network test-kube-api sdk story fuzz

fmt: ## Check the formatting
	cargo fmt --all --check

lint: ## Check lints and the shape of the workspace
	cargo clippy $(TESTS) --all-targets -- -D warnings
	cargo xtask check

docs: ## Check that the documentation builds, for users and for ourselves
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items

deny: ## Check licences, bans and sources of dependencies
	scripts/deny.sh

unit: ## Run the tests of all crates
	cargo nextest run $(TESTS) --profile ci -E 'not binary_id(palisade-backend-kube::cluster)'
	cargo test --workspace --doc --locked --quiet

test-network: ## Probe every egress mode and ingress level with real sockets
	scripts/test-network.sh

test-kube-api: ## Test what is built for Kubernetes on a real API server, without a node
	scripts/kube/test-api.sh

test-kube: ## Run sandboxes on a real Kubernetes node that is brought up for it
	scripts/setup.sh test
	scripts/kube/test.sh

sdk: ## Drive the platform with the official Python SDK, and from JavaScript
	scripts/sdk.sh
	# The server of buckets comes with what the SDK's tests need.
	cargo nextest run $(TESTS) --run-ignored only -E 'package(palisade-blob)'

story: ## Tell the story of the demo with the binaries of the tests
	cargo build --locked -p palisade -p cwic
	PALISADE_BIN_DIR="$${CARGO_TARGET_DIR:-$$PWD/target}/debug" scripts/demo.sh

fuzz: ## Run each fuzz target for a minute
	scripts/fuzz.sh

bench: build ## Measure, and compare with references in the same run
	scripts/bench.sh

bench-kube: ## Measure sandboxes on Kubernetes, beside bare pods
	scripts/setup.sh test
	scripts/kube/bench.sh

clean: ## Remove what was built
	cargo clean
