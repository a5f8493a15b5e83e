# `make` lists what there is. GNU make 3.81 is enough.
.DEFAULT_GOAL := help
.PHONY: help demo cluster test check chaos bench guard jaeger tools dev

CARGO ?= cargo
BIN := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/debug
BINARIES := $(CARGO) build -p shop -p loyalty -p demo -p laban-cli --bins --examples
# Features are united over all packages of a build: what has failpoints in it is built apart.
FAULTS := -p laban -p laban-tests --features laban-tests/faults
SHOP_WITH_FAULTS := $(CARGO) build -p laban-tests --features laban-tests/faults --bin shop-with-faults

# $(call step,what happens next): no comma in the text. Colour on a terminal only.
step = @if [ -t 1 ] && [ -z "$$NO_COLOR" ]; then printf '\033[1m==> %s\033[0m\n' '$(1)'; else printf '==> %s\n' '$(1)'; fi

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## run the shop on a real broker: 200 orders, audited (ONCE=1: verify and exit)
	$(call step,finding or fetching nats-server)
	@deploy/local/nats-server.sh >/dev/null
	$(call step,finding or fetching Jaeger)
	@deploy/local/jaeger.sh >/dev/null || [ $$? -eq 3 ]
	$(call step,building the shop and the demo)
	@$(BINARIES)
	$(call step,running the demo)
	@$(BIN)/demo

cluster: ## run what deploy/compose says as processes of this machine: 200 orders, audited (ONCE=1: verify and exit)
	$(call step,finding or fetching nats-server)
	@deploy/local/nats-server.sh >/dev/null
	$(call step,finding or fetching Jaeger)
	@deploy/local/jaeger.sh >/dev/null
	$(call step,finding or fetching Prometheus)
	@deploy/local/prometheus.sh >/dev/null
	$(call step,building the shop and the demo)
	@$(BINARIES)
	$(call step,running the cluster)
	@$(BIN)/demo --compose deploy/compose/compose.yaml

test: ## run all tests (LABAN_REQUIRE_JAEGER=1 and LABAN_REQUIRE_PROMETHEUS=1: fail if there is none)
	$(call step,finding or fetching nats-server)
	@deploy/local/nats-server.sh >/dev/null
	$(call step,finding or fetching Jaeger)
	@deploy/local/jaeger.sh >/dev/null || { [ $$? -eq 3 ] && [ "$$LABAN_REQUIRE_JAEGER" != 1 ]; }
	$(call step,finding or fetching Prometheus)
	@deploy/local/prometheus.sh >/dev/null || [ "$$LABAN_REQUIRE_PROMETHEUS" != 1 ]
	$(call step,building the binaries that system tests start)
	@$(BINARIES)
	@$(SHOP_WITH_FAULTS)
	$(call step,running all tests)
	@$(CARGO) test --workspace
	$(call step,running the failpoint suite in a build of its own)
	@$(CARGO) test $(FAULTS) --lib --test faults

check: ## check formatting and lints and docs (and shell scripts and licences where the tools are installed)
	$(call step,cargo fmt --check)
	@$(CARGO) fmt --all -- --check
	$(call step,cargo clippy with warnings denied)
	@$(CARGO) clippy --workspace --all-targets -- -D warnings
	@$(CARGO) clippy $(FAULTS) --all-targets -- -D warnings
	$(call step,cargo doc with warnings denied)
	@RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps
	@if command -v shellcheck >/dev/null; then echo '==> shellcheck'; shellcheck -x deploy/local/*.sh; \
	  else echo '==> shellcheck: not installed; skipped'; fi
	@if $(CARGO) deny --version >/dev/null 2>&1; then echo '==> cargo deny'; \
	  $(CARGO) deny --log-level error check bans licenses sources && \
	  if $(CARGO) deny fetch db >/dev/null 2>&1; then $(CARGO) deny --log-level error check advisories; \
	  else echo '==> cargo deny: the advisory database cannot be reached; advisories skipped'; fi; \
	  else echo '==> cargo deny: not installed; skipped'; fi

chaos: ## trouble the shop and audit what came of it (SEED=1 FLOWS=1000 MINUTES=2 PROFILE=cluster|single FENCE=on|off)
	$(call step,finding or fetching nats-server)
	@deploy/local/nats-server.sh >/dev/null
	$(call step,building the shop and the chaos run)
	@$(CARGO) build -p shop -p laban-chaos
	@if [ "$$FENCE" = off ]; then $(SHOP_WITH_FAULTS); fi
	$(call step,running the shop under fire)
	@$(BIN)/laban-chaos

bench: ## measure Laban against the same by hand and by its peers (QUICK=1: only try the bench; BENCH=...: its options)
	$(call step,finding or fetching nats-server)
	@deploy/local/nats-server.sh >/dev/null
	$(call step,building the bench and measuring)
	@$(CARGO) run --release --quiet -p laban-bench --bin laban-bench -- $(BENCH)

guard: ## count the instructions of a hop under valgrind and compare them with the budget (RENEW=1: write a new one)
	$(call step,finding or fetching nats-server)
	@deploy/local/nats-server.sh >/dev/null
	$(call step,building the bench and counting)
	@$(CARGO) run --release --quiet -p laban-bench --bin laban-bench -- guard

jaeger: ## find or fetch Jaeger or build it from source with Go (minutes; once per machine)
	$(call step,finding or fetching or building Jaeger)
	@deploy/local/jaeger.sh --build

tools: ## find or fetch nats-server and Jaeger and Prometheus and print their paths
	$(call step,finding or fetching nats-server)
	@deploy/local/nats-server.sh
	$(call step,finding or fetching Jaeger)
	@deploy/local/jaeger.sh || [ $$? -eq 3 ]
	$(call step,finding or fetching Prometheus)
	@deploy/local/prometheus.sh || [ $$? -eq 1 ]

dev: ## start a local broker and Jaeger and print their addresses until Ctrl-C
	$(call step,building the laban command)
	@$(CARGO) build -p laban-cli
	@$(BIN)/laban dev
