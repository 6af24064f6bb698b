# SPDX-License-Identifier: Apache-2.0

TOOL     := go tool -modfile=internal/tools/go.mod
FUZZTIME ?= 30s
COUNT    ?= 10
BENCH    ?= .
OLD      ?= main
NEW      ?=
ROUNDS   ?= 9
N        ?= 10000
SEED     ?= 1
SEEDS    ?= 1000
LENGTH   ?= 10m
CORES    ?= $(shell nproc)

.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: ## all that .ci/run checks
	.ci/run

test: ## run all tests
	go test ./...

parity: ## run all tests and write their counts into docs/parity.md
	bash -c 'set -o pipefail; go test -json ./... | go run ./internal/parity -w'

race: ## run all tests under the race detector
	go test -race ./...

brokers: ## run what tests the broker on other versions of nats-server
	.ci/brokers

integration: ## run the tests on embedded NATS only
	go test -count=1 ./integration/...

soak-rolling: ## roll fleets through versions at 2,000 calls a second
	DURABUS_ROLL=soak go test -count=1 -timeout 20m -v -run 'TestARollingUpgrade' ./integration

soak-faults: ## break brokers, responders and the network under load for LENGTH (10m)
	DURABUS_SOAK=$(LENGTH) go test -count=1 -timeout 0 -v -run WhatBreaksIsMended ./integration/soak

soak: ## simulate N (10000) schedules from SEED (1) on all cores, exactly
	go run ./internal/sim/replay soak -n $(N) -seed $(SEED) -cores $(CORES)

soak-nats: ## play N (10000) schedules from SEED (1) on an embedded nats-server and on one simulated broker, on all cores
	go test -c -o $(CURDIR)/.sim.test ./internal/sim
	@trap 'rm -f $(CURDIR)/.sim.test' EXIT; each=$$(( ($(N) + $(CORES) - 1) / $(CORES) )); jobs=; failed=0; \
	for core in $$(seq 0 $$(( $(CORES) - 1 ))); do \
		DURABUS_SIM_FIRST=$$(( $(SEED) + core * each )) DURABUS_SIM_COUNT=$$each GOMAXPROCS=1 \
			$(CURDIR)/.sim.test -test.run Broker -test.timeout 0 & jobs="$$jobs $$!"; \
	done; \
	for job in $$jobs; do wait $$job || failed=1; done; exit $$failed

replay: ## print what happens in the simulated schedule SEED (1)
	go run ./internal/sim/replay trace -seed $(SEED)

replay-check: ## compare replays of N (10000) simulated schedules from SEED (1)
	go run ./internal/sim/replay check -n $(N) -seed $(SEED) -cores $(CORES)

mutations: ## show that each deliberate fault of internal/mutations is caught
	go run ./internal/mutations

mutations-sim: ## show which of them the first SEEDS (1000) schedules of the simulation catch
	go run ./internal/mutations -sim $(SEEDS)

mutate-flow: ## show how many small faults of internal/flow its tests notice, at least 80%
	go run ./internal/mutations -every ./internal/flow

lint: ## vet, staticcheck, format and generated code
	go vet ./...
	$(TOOL) staticcheck ./...
	.ci/format
	.ci/generated

generate: ## write the generated code anew
	go generate ./...
	go -C bench generate ./...

fuzz: ## run every fuzz target for FUZZTIME (30s), and say how many inputs each has tried
	@FUZZTIME=$(FUZZTIME) .ci/fuzz

fuzz-corpus: ## keep of the inputs that fuzzing has found those that cover more
	@.ci/fuzz-corpus

bench: ## run the benchmarks that match BENCH
	.ci/bench '$(BENCH)' 1

benchstat: ## compare the benchmarks of the commits OLD (main) and NEW (the work tree), COUNT (10) runs each
	.ci/bench-compare '$(OLD)' '$(NEW)' '$(BENCH)' $(COUNT)

compare: ## measure durabus beside its peers, ROUNDS (9) rounds, for about 40 minutes
	go -C bench run . -rounds $(ROUNDS) -span 500ms -calm 15 -json results.json

load: ## measure overload, floods and capacity for about five minutes; write the tables of docs/load.md
	go -C bench run . -load -document ../docs/load.md

performance: ## write the tables and plots of docs/performance.md from bench/results.json
	go -C bench run . -read results.json -document ../docs/performance.md >/dev/null

demo: ## five acts on this machine's own processes
	go run ./cmd/durabus demo
