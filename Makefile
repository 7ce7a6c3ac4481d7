# Everything a person or CI does here. `make` alone lists it.

STACK := python3 scripts/stack.py
PYTHON := .triton/venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help run gateway triton models test test-rust test-python lint bench build deps setup

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: build ## Triton and the gateway together, on 127.0.0.1:8080, until Ctrl-C
	@$(STACK) run

gateway: build ## the gateway alone, in front of LACUNA_TRITON
	@target/release/lacuna

triton: setup ## one Triton alone, on TRITON_GRPC_PORT (8001), TRITON_HTTP_PORT, TRITON_METRICS_PORT
	@$(STACK) triton

build: deps
	cargo build --release --locked

deps:
	@$(STACK) deps

setup:
	@$(STACK) setup

test: test-rust test-python ## all tests; those of the service against a real Triton

test-rust: deps setup
	$(STACK) with-triton -- cargo test --release --locked

lint: deps ## formatting, lints with warnings as errors, documentation
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps

bench: build setup ## how long a request takes and where, beside bare codecs
	$(STACK) with-triton -- cargo bench --locked
