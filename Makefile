# The commands for people; `make help` lists them. CI calls only these targets.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The machine's own Node, for the note after an installation; read before PATH changes.
ifeq ($(wildcard node_modules/.package-lock.json),)
MACHINE_NODE := $(shell node -p process.versions.node 2>/dev/null)
endif

# Node from npm takes precedence over the machine's own, which may be too old; only in this folder.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

NODE_MODULES := node_modules/.package-lock.json
CLIENT_MODULES := test/clients/node_modules/.package-lock.json
ORACLE_MODULES := test/oracle/node_modules/.package-lock.json
PYTHON_VENV := .cache/python
PYTHON_MODULES := $(PYTHON_VENV)/.installed
ROOMS_VENV := .cache/python-rooms
ROOMS_MODULES := $(ROOMS_VENV)/.installed
CODE := src test deploy package.json tsconfig.json .oxlintrc.json .oxfmtrc.json

# Without a terminal vitest would still colour its output.
VITEST := test -t 1 || export NO_COLOR=1; vitest run --config test/vitest.config.ts

.PHONY: help setup run example-ts example-python example-pomelo-python example-board example-method-go example-method-python example-method-java check fmt fmt-check lint types layers unit mutants audit test test-all consul-test tutorial oracle border border-crowds fuzz fuzz-planted simulate simulate-year simulate-model simulate-model-planted simulate-planted chaos chaos-planted soak two-versions bench bench-method bench-peers bench-stall bench-many bench-upgrade bench-memory bench-connections bench-observability event-stream keep-stream image-test chart-test cluster-test proxy-test observability-test dashboard manifests docs pictures web web-test image tarball release gen clean node24 tools

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: node24 tools $(CLIENT_MODULES) $(ORACLE_MODULES) ## install everything: Node 24, packages, and what the tests need

run: node24 ## start a gateway with a chat behind it, and show how to use it; Ctrl-C stops both
	@node src/main.ts dev

example-ts: node24 ## start only the chat in TypeScript, on gRPC
	@node deploy/examples/chat-ts-grpc/main.ts

example-python: $(PYTHON_MODULES) ## start only the chat in Python, on NATS; needs Python 3.9 or newer
	@$(PYTHON_VENV)/bin/python deploy/examples/chat-python-nats/main.py

example-pomelo-python: $(PYTHON_MODULES) ## start the chat of Pomelo's tutorial, for its own web page, in Python on NATS
	@$(PYTHON_VENV)/bin/python deploy/examples/pomelo-chat-python-nats/main.py

example-board: $(PYTHON_MODULES) ## start the drawing board in Python, on NATS; needs Python 3.9 or newer
	@$(PYTHON_VENV)/bin/python deploy/examples/board-python-nats/main.py

example-method-go: ## start a Go service whose own methods the gateway calls; needs Go 1.26
	@cd deploy/examples/rooms-grpc-go && exec go run .

example-method-python: $(ROOMS_MODULES) ## the same in Python; needs Python 3.9 or newer
	@$(ROOMS_VENV)/bin/python deploy/examples/rooms-grpc-python/main.py

example-method-java: ## the same in Java; needs a JDK 17 or newer and Maven
	@cd deploy/examples/rooms-grpc-java && exec mvn -q compile exec:java

check: fmt-check lint types unit ## run before every commit: format, lint, types, layers, unit tests; about a minute

fmt: node24 ## format the code
	@oxfmt $(CODE)

fmt-check: node24 ## check the format of the code
	@oxfmt --check $(CODE)

lint: node24 ## find mistakes (type-aware oxlint; warnings fail)
	@oxlint src test deploy

types: node24 ## check the types
	@tsc --noEmit
	@tsc --noEmit -p src/web

layers: node24 ## check which folder of src/ imports which
	@$(VITEST) --project unit test/unit/layers.test.ts

unit: node24 $(CLIENT_MODULES) ## run the fast tests: no sockets; includes the layers
	@$(VITEST) --project unit

mutants: node24 ## change N random rows of the tables (N=20 SEED=1), and report which no unit test notices
	@node test/tools/mutants.ts

audit: node24 ## ask npm's registry for known vulnerabilities of what is shipped; AUDIT_SECONDS=60 at most
	@node test/tools/audit.ts

test: setup ## run all tests: unit, integration, conformance
	@$(VITEST)

test-all: setup ## run all tests, the slow ones in test/slow, and the cluster's if this machine can
	@sh test/tools/install-consul.sh
	@export TEST_ALL=1; $(VITEST)
	@if missing=$$(sh test/cluster/needs.sh); then $(MAKE) --no-print-directory cluster-test; \
	  else echo "left out: test/cluster needs $$missing"; fi

consul-test: node24 ## test with a real Consul agent; building it takes ten minutes the first time
	@sh test/tools/install-consul.sh
	@export TEST_ALL=1; $(VITEST) --project slow test/slow/consul.test.ts

tutorial: setup ## use the web page of Pomelo's tutorial in Chromium: CHAT=../chatofpomelo-websocket; screenshots in .cache/tutorial
	@test -f "$(CHAT)/web-server/public/index.html" || { \
	  echo 'tutorial: CHAT=folder is required: git clone https://github.com/NetEase/chatofpomelo-websocket' >&2; exit 1; }
	@export CHAT="$$(cd "$(CHAT)" && pwd)"; $(VITEST) --project conformance test/conformance/tutorial.test.ts

oracle: node24 $(ORACLE_MODULES) ## play one script to Pomelo, Pinus and Pith, and print what differs
	@node test/oracle/run.ts

image-test: node24 ## build the image and test it as a cluster would run it; needs Linux and root
	@sh test/image/tools.sh
	@test -t 1 || export NO_COLOR=1; vitest run --config test/image/vitest.config.ts
	@echo 'image-test: passed'

chart-test: node24 ## test what the Helm chart renders
	@sh test/tools/install-helm.sh
	@test -t 1 || export NO_COLOR=1; vitest run --config test/chart/vitest.config.ts

cluster-test: node24 tools ## use the chart on a real Kubernetes on this machine; needs Linux, root, containerd; builds it the first time
	@missing=$$(sh test/cluster/needs.sh install) || { echo "cluster-test: missing: $$missing" >&2; exit 1; }
	@sh test/tools/install-helm.sh
	@test -t 1 || export NO_COLOR=1; vitest run --config test/cluster/vitest.config.ts

proxy-test: node24 tools ## put nginx, HAProxy, Envoy and keepalived, as in deploy/proxies, in front of gateways; needs Linux and root
	@sh test/proxy/tools.sh
	@test -t 1 || export NO_COLOR=1; vitest run --config test/proxy/vitest.config.ts

observability-test: node24 tools ## cause each alert of deploy/observability on a real gateway, for a real Prometheus, and run the collector; needs Linux, installs them as root
	@sh test/observability/tools.sh
	@test -t 1 || export NO_COLOR=1; vitest run --config test/observability/vitest.config.ts

manifests: node24 ## write the chart's schema of pith.yaml and its README, and render deploy/manifests from the chart
	@sh test/tools/install-helm.sh
	@node deploy/helm/schema.ts && oxfmt deploy/helm/pith/values.schema.json >/dev/null
	@node deploy/helm/readme.ts
	@node deploy/observability/dashboard.ts
	@sh deploy/manifests/render.sh

dashboard: node24 ## write deploy/observability/dashboard.json, and what the chart takes of that folder
	@node deploy/observability/dashboard.ts

docs: node24 ## write deploy/reference: configuration, commands, metrics, errors, Control, events, from what the gateway runs on
	@node src/main.ts docs deploy/reference

web-test: node24 tools $(CLIENT_MODULES) $(ORACLE_MODULES) ## use the pages of the admin port in Chromium; screenshots of every state in .cache/web
	@test -t 1 || export NO_COLOR=1; vitest run --config test/web/vitest.config.ts

pictures: setup ## make the pictures of deploy/pictures: both pages in Chromium, the dashboard and a trace; seven minutes
	@node test/web/pictures.ts
	@node test/tools/pictures.ts
	@sh test/observability/tools.sh
	@node test/observability/picture.ts

web: node24 ## build the pages /playground and /console from src/web into src/gen/web
	@node deploy/package/web.ts

T ?= 300

border: node24 tools ## attack every input of a gateway for T seconds (T=600), and print the cost
	@T=$(T) node test/border/run.ts

border-crowds: node24 tools ## N hostile connections of each kind (N=5000) while 500 clients play: what each holds, and when it is gone
	@node test/border/crowds/run.ts

fuzz: node24 $(CLIENT_MODULES) ## fuzz every parser for T seconds, following coverage (T=600 ONLY=json SEED=1 UNTIL_DRY=3600 SAVE=1)
	@T=$(T) node test/fuzz/run.ts

fuzz-planted: node24 $(CLIENT_MODULES) ## put bugs into a copy of the tree, and have the fuzzer find each; ONLY=name
	@node test/fuzz/run-planted.ts

simulate: node24 ## play a fleet in virtual time with faults: SEED=7 HOURS=24 GATEWAYS=3 CLIENTS=200 JOBS=2 TRACE=1 SHRINK=1
	@node test/simulate/run.ts

simulate-year: node24 ## the same for a year, each day a small fleet of a size of its own: SEED=1 HOURS=8760 JOBS=2
	@HOURS=$${HOURS:-8760} JOBS=$${JOBS:-2} SIZES=1 node test/simulate/run.ts

simulate-model: node24 ## compare a fleet with a simple model of it, for N operations: N=1000000 SEED=7 GATEWAYS=3
	@node test/simulate/model/run.ts

simulate-model-planted: node24 ## put bugs into a copy of the tree, and have the model find each; ONLY=name,name N=40000
	@node test/simulate/model/run-planted.ts

simulate-planted: node24 ## put bugs into a copy of the tree, and have the simulation find each; ONLY=name,name SEEDS=40 JOBS=2
	@node test/simulate/run-planted.ts

chaos: node24 tools ## kill, stop and cut off real gateways, and count what clients and backends are told: SCENARIO=kill-500 RUNS=100 SESSIONS=500 JOBS=4
	@node test/chaos/run.ts

chaos-planted: node24 tools ## put bugs into a copy of the tree, and have chaos and the soak find each: ONLY=name,name
	@node test/chaos/run-planted.ts

soak: node24 tools ## a steady load for T seconds (T=300 RATE=80): memory, handles, timers and subscriptions must stay flat
	@T=$(T) node test/soak/run.ts

two-versions: node24 tools ## run the last release beside this tree, on one bus and one backend: FROM=pith-0.1.0.tgz or a revision
	@node test/two-versions/run.ts

bench: setup ## measure CPU per message against a bare WebSocket echo, and compare it with earlier runs; three minutes, needs a quiet machine
	@node test/bench/run.ts

bench-method: node24 ## measure CPU per message of what mode: method converts, against protobufjs
	@node test/bench/transcode.ts

bench-peers: node24 ## measure Pith beside Pitaya, Nano, Centrifugo, AnyCable, Pinus, Pomelo and bare echoes, within an hour: ONLY=a,b ROUNDS=5 SECONDS=3 BUDGET=55 QUICK=1 LIST=1
	@sh test/tools/install.sh
	@node test/bench/peers/run.ts

bench-stall: node24 ## measure how long one message blocks the event loop, by size, in each decoder
	@node test/bench/stall.ts

bench-many: setup ## measure pushes to many of N clients (N=15000), and their subscriptions, in turns of the event loop
	@node test/bench/many.ts

bench-upgrade: setup ## measure how long pith upgrade keeps clients waiting: CLIENTS=5000, with NATS=nats on a NATS bus
	@node test/bench/upgrade.ts $(or $(CLIENTS),5000) 500 $(NATS)

bench-memory: setup ## measure memory at rest and per idle session, start and reload; ONLY=rest,idle,hostile,reload, N=5000,18000
	@node test/bench/memory.ts

bench-connections: setup ## measure 18,000 idle sessions in one process and in each of several workers, messages at 18,000, and how connections spread; ONLY=one,workers,message,two,spread, N=18000, WORKERS=4
	@node test/bench/connections.ts

bench-observability: setup ## measure what traces, metrics, a watch and an open console cost per message: ROUNDS=30 ONLY=traces,console; twenty minutes, needs a quiet machine
	@node test/bench/observability.ts

event-stream: node24 ## have JetStream keep the events of gateways for a day; NATS_URL=nats://127.0.0.1:4222
	@node deploy/nats/event-stream.ts

keep-stream: node24 ## have JetStream keep pushes for users who are away for a moment; NATS_URL=nats://127.0.0.1:4222
	@node deploy/nats/keep-stream.ts

image: node24 ## build the image with docker, podman or buildah, and its SBOM: TAG=pith:0.1.0 ENGINE=podman
	@sh deploy/package/image.sh $(TAG)

tarball: node24 ## make an archive with Node inside, for machines without npm: dist/pith-<version>-<platform>.tar.gz
	@sh deploy/package/tarball.sh

release: node24 ## make a release: VERSION=0.2.0; DRY=1 only shows what would change
	@node deploy/release/release.ts $(VERSION) $(if $(DRY),--dry-run)

gen: node24 ## generate src/gen and the Go example's code from proto/
	@sh proto/gen.sh

clean: ## remove everything that was installed or built in this folder
	rm -rf node_modules test/clients/node_modules test/oracle/node_modules dist coverage .cache

# --- What the targets above depend on.

# After an `npm install` that changes the lock file, run test/tools/complete-lock.mjs; it explains why.
$(NODE_MODULES): package.json package-lock.json .npmrc deploy/node-runtime/package.json
	@command -v npm >/dev/null || { echo 'npm is required: install Node.js (any version, npm 10 or newer)' >&2; exit 1; }
	npm ci --loglevel=error
	@node deploy/node-runtime/announce.mjs $(MACHINE_NODE)
	@touch $@

$(CLIENT_MODULES): test/clients/package.json test/clients/package-lock.json test/clients/.npmrc | $(NODE_MODULES)
	cd test/clients && npm ci --loglevel=error --omit=optional --ignore-scripts
	@touch $@

$(ORACLE_MODULES): test/oracle/package.json test/oracle/package-lock.json test/oracle/.npmrc | $(NODE_MODULES)
	cd test/oracle && npm ci --loglevel=error --omit=optional --ignore-scripts
	@touch $@

$(PYTHON_MODULES): deploy/examples/chat-python-nats/requirements.txt
	@command -v python3 >/dev/null || { echo 'python3 is required for this example: install Python 3.9 or newer' >&2; exit 1; }
	python3 -m venv $(PYTHON_VENV)
	$(PYTHON_VENV)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

$(ROOMS_MODULES): deploy/examples/rooms-grpc-python/requirements.txt
	@command -v python3 >/dev/null || { echo 'python3 is required for this example: install Python 3.9 or newer' >&2; exit 1; }
	python3 -m venv $(ROOMS_VENV)
	$(ROOMS_VENV)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

node24: $(NODE_MODULES)
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 24 || (a === 24 && b >= 12) ? 0 : 1)' || \
	  { echo "Node 24.12 or newer is required. This is $$(node -v), and npm has no Node for this machine: install one, then run make again." >&2; exit 1; }

tools: test/tools/install.sh test/tools/install-chromium.sh test/tools/install-prometheus.sh
	@sh test/tools/install.sh
	@sh test/tools/install-chromium.sh
	@sh test/tools/install-prometheus.sh
