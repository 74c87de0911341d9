# What a person does with the project. `make help` prints it; CI calls only these targets.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Node from npm goes before the machine's own, which may be too old; it changes nothing outside this folder.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

NODE_MODULES := node_modules/.package-lock.json
CLIENT_MODULES := test/clients/node_modules/.package-lock.json
CODE := src test deploy package.json tsconfig.json .oxlintrc.json .oxfmtrc.json

# Without a terminal vitest colours its output all the same, unless told.
VITEST := test -t 1 || export NO_COLOR=1; vitest run --config test/vitest.config.ts

.PHONY: help setup check fmt fmt-check lint types layers unit test test-all gen clean node24 tools

help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: node24 tools $(CLIENT_MODULES) ## install everything: Node 24 and packages, and what the tests need

check: fmt-check lint types unit ## run before every commit: format, lint, types, layers, unit tests; under 30 s

fmt: node24 ## format the code
	@oxfmt $(CODE)

fmt-check: node24 ## is the code formatted
	@oxfmt --check $(CODE)

lint: node24 ## find mistakes (oxlint with types; warnings fail)
	@oxlint src test deploy

types: node24 ## check the types
	@tsc --noEmit

layers: node24 ## check who imports whom in src/
	@$(VITEST) --project unit test/unit/layers.test.ts

unit: node24 ## run the fast tests: pure code, no sockets; the layers too
	@$(VITEST) --project unit

test: setup ## run all tests: unit, integration, conformance
	@$(VITEST)

test-all: setup ## run all tests, and the slow ones of test/slow
	@export PITH_TEST_ALL=1; $(VITEST)

gen: node24 ## generate src/gen from proto/
	@sh proto/gen.sh

clean: ## remove what was installed or made in this folder
	rm -rf node_modules test/clients/node_modules coverage .cache

# --- What the targets above stand on.

# After an `npm install` that changes the lock run test/tools/complete-lock.mjs: it says why.
$(NODE_MODULES): package.json package-lock.json .npmrc deploy/node-runtime/package.json
	@command -v npm >/dev/null || { echo 'npm is needed to begin: install Node.js (any version, npm 10 or newer)' >&2; exit 1; }
	npm ci
	@touch $@

$(CLIENT_MODULES): test/clients/package.json test/clients/package-lock.json test/clients/.npmrc | $(NODE_MODULES)
	cd test/clients && npm ci --omit=optional --ignore-scripts
	@touch $@

node24: $(NODE_MODULES)
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 24 || (a === 24 && b >= 12) ? 0 : 1)' || \
	  { echo "Node 24.12 or newer is needed, this is $$(node -v), and npm has none for this platform. Install it and run make again." >&2; exit 1; }

tools: test/tools/install.sh
	@sh test/tools/install.sh
