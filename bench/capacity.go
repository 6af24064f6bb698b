// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// What ends the steps of a capacity.
const (
	slowest = 100 * time.Millisecond // p99, at most
	fullest = 0.95                   // of the machine
)

// A capacity is found by steps: more and more of something, until a bound is hit.
type capacity struct {
	name   string
	steps  []int
	shape  string // of the client; the server's is "held"
	load   load
	demand float64 // values or calls to arrive in a second, for each of a step; 0: as many as will
	of     string  // what memory is told for each of; "" is not told
}

func capacities() []capacity {
	calls := func(size int) capacity {
		return capacity{
			name: fmt.Sprintf("calls of %d B, callers", size), steps: []int{16, 64, 256, 1024, 4096}, shape: "calls",
			load: load{Under: []string{""}, Size: size, Span: time.Second},
		}
	}
	tens := func(most, every int) (all []int) {
		for n := every; n <= most; n += every {
			all = append(all, n)
		}
		return all
	}
	return []capacity{
		calls(16), calls(1 << 10),
		{
			name: "idle streams", steps: tens(100_000, 25_000), shape: "held", of: "stream",
			load: load{Conns: 8, Span: 2 * time.Second, Rate: 100},
		},
		{
			name: "streams with an element a second", steps: tens(100_000, 10_000), shape: "held", of: "stream", demand: 1,
			load: load{Conns: 8, Span: 3 * time.Second, Gap: time.Second},
		},
		{
			name: "watchers of a state with 10 updates a second", steps: tens(50_000, 10_000), shape: "watched", of: "watcher", demand: 10,
			load: load{Conns: 8, Span: 3 * time.Second, Gap: 100 * time.Millisecond},
		},
	}
}

// A step is what was measured at one.
type step struct {
	n        int
	rate     float64
	p50, p99 time.Duration
	window
	base map[string]usage // before the first step
	over string           // the bound that is hit; "" is none
}

// find goes up the steps until a bound is hit.
func (q capacity) find(ctx context.Context, told func(string, ...any)) (all []step, err error) {
	c, err := muster(ctx, "documented")
	if err != nil {
		return nil, err
	}
	defer c.end()
	if _, err := c.serve("held", q.load); err != nil {
		return nil, err
	}
	client, err := c.dial(q.shape, q.load)
	if err != nil {
		return nil, err
	}
	base, err := c.use()
	if err != nil {
		return nil, err
	}
	for i, n := range q.steps {
		s, err := q.step(c, client, n)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil: // of what is carried no more
			told("%s: %d: %v", q.name, n, err)
			return append(all, step{n: n, over: "it fails"}), nil
		}
		s.base = base
		s.over = q.bound(s, all)
		if s.over == "" && i == len(q.steps)-1 {
			s.over = "the last step"
		}
		all = append(all, s)
		told("%s: %d: %s/s, p50 %v, p99 %v, %.0f%% CPU %s", q.name, n, figure(s.rate), s.p50, s.p99, 100*s.share(), s.over)
		if s.over != "" {
			break
		}
	}
	return all, nil
}

func (q capacity) step(c *crew, client *process, n int) (step, error) {
	l := q.load
	if q.shape == "calls" {
		l.Callers = n
	} else {
		l.Streams = n
		if _, err := c.run(client, load{Streams: n}); err != nil {
			return step{}, err
		}
		// What opening them took is no part of keeping them.
		if _, err := c.run(client, load{Streams: n, Span: l.Span / 3, Rate: l.Rate}); err != nil {
			return step{}, err
		}
	}
	var s sample
	w, err := c.window(func() (err error) {
		s, err = c.run(client, l)
		return err
	})
	return step{n: n, rate: s.N / s.Elapsed.Seconds(), p50: s.P50, p99: s.P99, window: w}, err
}

// bound says which bound a step has hit: then the one before is what is carried.
func (q capacity) bound(s step, before []step) string {
	switch {
	case s.p99 > slowest:
		return fmt.Sprintf("p99 %v", s.p99.Round(time.Millisecond))
	case s.rate < 0.95*q.demand*float64(s.n):
		return fmt.Sprintf("%.0f%% arrive", 100*s.rate/q.demand/float64(s.n))
	case q.shape == "calls" && len(before) > 0 && s.rate < 1.05*before[len(before)-1].rate:
		return "no more calls than before"
	case q.shape != "calls" && s.share() > fullest:
		return "processor"
	}
	return ""
}

// markdown is a table of the steps.
func (q capacity) markdown(all []step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | per s | p50 ms | p99 ms | CPU %% of the machine: broker, responder, callers | others' CPU %% | RSS MiB: broker, responder, callers |", q.name)
	blank := 6 // columns of a step that fails
	if q.of != "" {
		blank++
		fmt.Fprintf(&b, " B for each %s: broker, responder, caller |", q.of)
	}
	b.WriteString(" bound |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
	if q.of != "" {
		b.WriteString(" --- |")
	}
	b.WriteString("\n")
	roles := []string{"broker", "server", "client"}
	for _, s := range all {
		if s.after == nil {
			fmt.Fprintf(&b, "| %d |%s %s |\n", s.n, strings.Repeat(" – |", blank), s.over)
			continue
		}
		var cpu, held, each []string
		for _, role := range roles {
			cpu = append(cpu, figure(100*s.share()*(s.after[role].CPU-s.before[role].CPU)/s.own()))
			held = append(held, figure(s.after[role].RSS/(1<<20)))
			each = append(each, figure(max(s.after[role].RSS-s.base[role].RSS, 0)/float64(s.n)))
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s |", s.n, figure(s.rate), millis(s.p50), millis(s.p99),
			strings.Join(cpu, ", "), figure(100*s.foreign), strings.Join(held, ", "))
		if q.of != "" {
			fmt.Fprintf(&b, " %s |", strings.Join(each, ", "))
		}
		fmt.Fprintf(&b, " %s |\n", s.over)
	}
	return b.String()
}

func millis(d time.Duration) string { return figure(float64(d.Microseconds()) / 1e3) }
