// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// A workload is one row of comparisons: a shape, how much of it, and who does it.
type workload struct {
	name    string
	shape   string
	load    load
	systems []string
	oneCore bool // all processes on one core, so that nothing but work takes time
	long    bool // not for a quick run
	times   int  // spans that a measurement lasts, if not 1
	rounds  int  // in which it is measured, if not in all: it lasts, or changes little
}

// fewRounds are enough for memory, counts and what is told rather than judged.
const fewRounds = 3

// A cell is one system's turn at one workload.
type cell struct {
	workload
	system string
}

func (c cell) String() string { return c.name + "/" + c.system }

var (
	callers  = []string{"raw", "durabus", "micro", "grpc", "grpc-tuned", "drpc", "psrpc"}
	streamed = []string{
		"raw", "packed", "durabus", "durabus-convert", "durabus-durable", "durabus-layers",
		"packed-bytes", "durabus-bytes", "grpc", "grpc-tuned", "drpc", "psrpc",
	}
)

// workloads are all that can be compared.
func workloads() []workload {
	var all []workload
	for _, size := range []int{16, 1 << 10} {
		all = append(all,
			workload{name: fmt.Sprintf("unary/one-core/%d", size), shape: "unary", systems: callers, oneCore: true, load: load{Size: size, Callers: 1}},
			workload{name: fmt.Sprintf("unary/64/%d", size), shape: "unary", systems: callers, load: load{Size: size, Callers: 64}})
	}
	for _, size := range []int{16, 128, 1 << 10, 64 << 10} {
		all = append(all, workload{name: fmt.Sprintf("stream/%d", size), shape: "stream", systems: streamed, load: load{Size: size}})
	}
	for _, n := range []int{1, 100, 1000} {
		for _, size := range []int{16, 1 << 10} {
			all = append(all, workload{
				name: fmt.Sprintf("streams/%d/%d", n, size), shape: "stream",
				systems: []string{"raw", "durabus", "grpc"}, load: load{Size: size, Streams: n},
			})
		}
	}
	all = append(all,
		workload{
			name: "sparse", shape: "sparse", oneCore: true, systems: []string{"raw", "durabus", "grpc", "drpc"},
			load: load{Size: 16, Gap: 10 * time.Millisecond},
		},
		workload{name: "snapshot", shape: "snapshot", systems: []string{"raw", "durabus", "grpc"}, load: load{Size: snapshotSize}})
	return slices.Concat(all, fanouts(), holes(), standing())
}

// fanouts are busy, with many updates on their way, or quiet: so few that nearly
// each is a message of its own.
func fanouts() (all []workload) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		systems := []string{"raw", "raw-shared", "durabus", "grpc", "drpc"}
		if n > 1000 { // too many connections
			systems = systems[:4]
		}
		l := load{Size: 128, Streams: n, Conns: 8}
		l.Window = busyWindow
		all = append(all, workload{name: fmt.Sprintf("fanout/busy/%d", n), shape: "fanout", systems: systems, load: l, long: n > 1000})
		l.Window = quietWindow
		all = append(all, workload{name: fmt.Sprintf("fanout/quiet/%d", n), shape: "fanout", systems: systems, load: l, long: n > 1000})
	}
	return all
}

// holes are fan-outs beside one watcher that stops reading, for long enough that
// the broker notices.
func holes() (all []workload) {
	for _, settings := range []string{"default", "documented"} {
		l := load{Size: 128, Streams: 1000, Conns: 8, Window: busyWindow, Broker: settings}
		all = append(all, workload{name: "hole/none/" + settings, shape: "fanout", systems: []string{"durabus"}, load: l, long: true, times: 15, rounds: fewRounds})
		l.Hole = true
		all = append(all, workload{name: "hole/one/" + settings, shape: "fanout", systems: []string{"durabus"}, load: l, long: true, times: 15, rounds: fewRounds})
	}
	return all
}

// Updates that not all watchers have yet.
const (
	busyWindow  = 1024
	quietWindow = 4
)

// standing are the workloads of streams on which little happens.
func standing() []workload {
	idle := []string{"durabus", "durabus-publisher", "grpc"}
	follow := func(conns, states, size int, gap time.Duration) load {
		return load{Conns: conns, States: states, Size: size, Gap: gap}
	}
	back := []string{"raw", "raw-default", "durabus"}
	return []workload{
		{name: "idle/1000", shape: "idle", systems: append(idle, "drpc"), load: load{Streams: 1000, Conns: 8}},
		{name: "idle/10000", shape: "idle", systems: append(idle, "drpc"), load: load{Streams: 10_000, Conns: 8}, long: true, rounds: fewRounds},
		{name: "idle/40000", shape: "idle", systems: idle, load: load{Streams: 40_000, Conns: 8}, long: true, rounds: fewRounds},
		{name: "idle/100000", shape: "idle", systems: []string{"durabus"}, load: load{Streams: 100_000, Conns: 8}, long: true, rounds: fewRounds},
		{name: "recovery/1", shape: "recovery", systems: back, load: follow(1, 1, 128, time.Millisecond)},
		{name: "recovery/100", shape: "recovery", systems: back, load: follow(100, 1, 128, time.Millisecond)},
		{name: "recovery/10000 states", shape: "recovery", systems: []string{"durabus"}, load: follow(100, 100, 10<<10, 0), long: true},
		{name: "outage/30 s", shape: "outage", systems: back, load: follow(20, 1, 128, 100*time.Millisecond), long: true, rounds: fewRounds},
	}
}

// cells are the measurements of one round.
func cells(o options, round int) (all []cell) {
	for _, w := range workloads() {
		if o.quick && w.long || w.rounds > 0 && round >= w.rounds {
			continue
		}
		for _, s := range w.systems {
			if c := (cell{w, s}); o.only.MatchString(c.String()) {
				all = append(all, c)
			}
		}
	}
	return all
}

// rotated turns the order of the systems in each workload, so that over the
// rounds each comes after each, and none is always first.
func rotated(all []cell, round int) (turned []cell) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].name == all[0].name {
			n++
		}
		for i := range n {
			turned = append(turned, all[(i+round)%n])
		}
		all = all[n:]
	}
	return turned
}
