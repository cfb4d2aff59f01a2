# What a developer types. `make help` lists it.

# sqlite_fts5 builds SQLite's full-text search in; the store refuses to start
# without it.
TAGS    := sqlite_fts5
GO      ?= go
ARGS    ?=
# Version of the linter; .ci/run installs it where it is missing.
LINT    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# Shortens what the linker writes; paths of the building machine stay out.
BUILD   := $(GO) build -tags $(TAGS) -trimpath
FUZZTIME ?= 20s

export CGO_ENABLED = 1

.PHONY: help build demo test race lint lint-install bench fuzz e2e crash clean

help: ## list what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## ./muster
	$(BUILD) -o muster ./cmd/muster

demo: build ## a simulated network of 44 devices, found, backed up, watched (ARGS="--for 60s" ends by itself)
	./muster demo $(ARGS)

test: ## all tests that need neither root nor a lab
	$(GO) test -timeout 30m -tags $(TAGS) ./...

race: ## the same under the race detector
	$(GO) test -race -timeout 40m -tags $(TAGS) ./...

lint: ## formatting, vet, import rules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	golangci-lint run --build-tags $(TAGS) ./...

lint-install: ## the linter in its pinned version (builds for some minutes)
	$(GO) install $(LINT)

bench: build ## benchmarks, as ratios against the floor of the same run (the whole command needs ../shared/tools)
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchmem ./...
	@if [ -d ../shared/tools/sshfleet ]; then w=$$(mktemp -d) && trap 'rm -rf "$$w"' EXIT && .ci/bench ./muster ../shared/tools "$$w"; \
	else echo "NOT RUN: the whole command against its floors, there is no ../shared/tools"; fi

fuzz: ## every fuzz target for FUZZTIME each
	@for p in $$($(GO) list -tags $(TAGS) ./...); do \
	  for f in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; done

e2e: build ## end to end against real routers (root; needs ../shared/tools)
	.ci/e2e ./muster

crash: build ## SIGKILL in 50 rounds of backups, traced from outside (root; needs ../shared/tools)
	.ci/crash ./muster

clean: ## what was built
	rm -f muster
