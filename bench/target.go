// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// A target is what durabus is to reach: a figure of its own or, beside another
// system's, a ratio.
type target struct {
	group    string
	workload string
	system   string // whose figure; "" is durabus
	metric   string
	beside   string  // the other system, or another workload where it has a '/'; "" is none
	limit    float64 // in the unit of the metric if beside is ""
	least    bool    // at least the limit, else at most
}

func atMost(group, workload, metric, beside string, limit float64) target {
	return target{group: group, workload: workload, metric: metric, beside: beside, limit: limit}
}

func atLeast(group, workload, metric, beside string, limit float64) target {
	t := atMost(group, workload, metric, beside, limit)
	t.least = true
	return t
}

// of makes t the target of another system than durabus with its defaults.
func (t target) of(system string) target {
	t.system = system
	return t
}

// targets are those that the comparison can decide. What is left are balances,
// counts and allocations, which tests assert, and figures within one process,
// which benchmarks take.
var targets = []target{
	atMost("1. unary", "unary/one-core/16", "p50", "raw", 1.05),
	atMost("1. unary", "unary/one-core/1024", "p50", "raw", 1.10),
	atLeast("1. unary", "unary/64/16", "rate", "raw", 1.5),
	atLeast("1. unary", "unary/64/16", "rate", "grpc", 2.8),
	atLeast("1. unary", "unary/64/1024", "rate", "raw", 1.1),
	atLeast("1. unary", "unary/64/1024", "rate", "grpc", 1.6),
	atMost("1. unary", "unary/64/16", "cpu", "raw", 0.65),

	atLeast("2. streams", "stream/16", "rate", "packed", 0.9),
	atLeast("2. streams", "stream/16", "rate", "grpc", 4),
	atLeast("2. streams", "stream/16", "rate", "drpc", 3.5),
	atMost("2. streams", "stream/16", "cpu", "packed", 1.2),
	atLeast("2. streams", "stream/16", "rate", "packed-bytes", 0.6).of("durabus-bytes"),
	atLeast("2. streams", "stream/128", "rate", "packed", 0.9),
	atLeast("2. streams", "stream/128", "rate", "grpc", 3),
	atLeast("2. streams", "stream/1024", "rate", "packed", 0.95),
	atLeast("2. streams", "stream/1024", "rate", "grpc", 1.2),
	atLeast("2. streams", "stream/65536", "rate", "raw", 0.95),

	atMost("3. sparse", "sparse", "p50", "raw", 1.05),

	atMost("5. fan-out", "fanout/busy/10", "cpu.server", "raw", 1),
	atMost("5. fan-out", "fanout/busy/1000", "cpu.server", "fanout/busy/10", 1.25),
	atMost("5. fan-out", "fanout/busy/10000", "cpu.server", "fanout/busy/10", 1.25),
	atLeast("5. fan-out", "fanout/busy/1000", "deliveries", "raw", 20),
	atLeast("5. fan-out", "fanout/busy/1000", "deliveries", "grpc", 60),
	atLeast("5. fan-out", "fanout/quiet/1000", "deliveries", "raw", 6),
	atLeast("5. fan-out", "fanout/quiet/1000", "deliveries", "grpc", 15),
	atMost("5. fan-out", "fanout/busy/1000", "cpu.broker", "fanout/busy/10", 1.25),

	atMost("6. idle", "idle/40000", "rss.server", "", 4096),
	atMost("6. idle", "idle/40000", "rss.server", "", 500).of("durabus-publisher"),
	atMost("6. idle", "idle/40000", "rss.client", "", 1.2*1024),
	atMost("6. idle", "idle/40000", "slope.broker", "", 60),

	atMost("7. recovery", "recovery/1", "last", "", 30),
	atMost("7. recovery", "recovery/100", "last", "", 60),
	atMost("7. recovery", "recovery/10000 states", "last", "", 2000),
	atMost("7. recovery", "outage/30 s", "tried", "", 25),

	atLeast("8. snapshot", "snapshot", "rate", "raw", 0.9),

	atMost("9. growth", "streams/100/16", "cpu", "streams/1/16", 1.25),
	atMost("9. growth", "streams/1000/16", "cpu", "streams/1/16", 1.25),
	atMost("9. growth", "streams/100/1024", "cpu", "streams/1/1024", 1.25),
	atMost("9. growth", "streams/1000/1024", "cpu", "streams/1/1024", 1.25),
	atMost("9. growth", "idle/100000", "rss.server", "idle/1000", 1.1),
	atMost("9. growth", "idle/100000", "rss.client", "idle/1000", 1.1),

	atMost("10. layers", "stream/16", "cpu", "durabus", 1.1).of("durabus-layers"),
}

func (t target) who() string {
	if t.system == "" {
		return "durabus"
	}
	return t.system
}

// String says what is to be reached.
func (t target) String() string {
	sign := "≤"
	if t.least {
		sign = "≥"
	}
	text := fmt.Sprintf("%s: %s of %s %s %s", t.workload, columnOf(t.metric).title, t.who(), sign, figure(t.limit))
	if t.beside == "" {
		return text
	}
	return text + " × " + t.beside
}

// figures are those of every round.
func (t target) figures(r *results) []float64 {
	own := r.values(t.workload, t.who(), t.metric)
	switch {
	case t.beside == "":
		var all []float64
		for _, v := range own {
			all = append(all, v)
		}
		return all
	case strings.Contains(t.beside, "/"):
		return ratios(own, r.values(t.beside, t.who(), t.metric))
	}
	return ratios(own, r.values(t.workload, t.beside, t.metric))
}

// verdict compares the interval with the limit. A target is met if the interval
// reaches it; where there are too few figures for one, their range decides only if
// all of it is on one side.
func (t target) verdict(s summary) string {
	best, worst := s.low, s.high
	if t.least {
		best, worst = -s.high, -s.low
	}
	limit := t.limit
	if t.least {
		limit = -limit
	}
	switch {
	case best > limit:
		return "**not met**"
	case worst > limit && s.n < fewest:
		return "open"
	case worst > limit:
		return "met, the interval reaches it"
	}
	return "met"
}
