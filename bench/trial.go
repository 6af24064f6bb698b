// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A trial is the carrying out of one cell: three processes and what they say.
type trial struct {
	cell
	ctx   context.Context
	opts  options
	round int

	broker         *process // nil where the system needs none
	server, client *process
	at             place
}

// calmly measures again, up to five times, while others used more of the machine
// than is allowed, and returns the least disturbed measurement.
func (c cell) calmly(ctx context.Context, o options, round int) (calmest metrics, err error) {
	for range 5 {
		m, err := c.measure(ctx, o, round)
		if err != nil {
			return nil, err
		}
		if calmest == nil || m["foreign"] < calmest["foreign"] {
			calmest = m
		}
		if o.calm == 0 || calmest["foreign"] <= o.calm {
			break
		}
	}
	return calmest, nil
}

// measure carries out a cell in processes of its own, which have ended when it
// returns.
func (c cell) measure(ctx context.Context, o options, round int) (metrics, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &trial{cell: c, ctx: ctx, opts: o, round: round}
	defer t.end()
	if err := t.begin(); err != nil {
		return nil, err
	}
	return shapes[c.shape].measure(t)
}

func (t *trial) begin() (err error) {
	if !can(systems[t.system], t.shape) {
		return fmt.Errorf("%s cannot do workloads of the shape %q", t.system, t.shape)
	}
	if needsBroker(systems[t.system]) {
		if t.broker, err = start(t.ctx, "broker", t.oneCore); err != nil {
			return err
		}
		answer, err := t.broker.do(request{Do: "listen", Load: t.load})
		if err != nil {
			return err
		}
		t.at = answer.At
	}
	if t.server, err = start(t.ctx, "server", t.oneCore); err != nil {
		return err
	}
	answer, err := t.server.do(request{Do: "serve", System: t.system, Shape: t.shape, At: t.at, Load: t.load})
	if err != nil {
		return err
	}
	t.at = answer.At
	if t.client, err = start(t.ctx, "client", t.oneCore); err != nil {
		return err
	}
	_, err = t.client.do(request{Do: "dial", System: t.system, Shape: t.shape, At: t.at, Load: t.load})
	return err
}

func (t *trial) processes() []*process {
	return slices.DeleteFunc([]*process{t.client, t.server, t.broker}, func(p *process) bool { return p == nil })
}

func (t *trial) end() {
	for _, p := range t.processes() {
		_ = p.kill() // it may have ended
	}
}

// run has one end run under a load.
func (t *trial) run(p *process, l load) (sample, error) { return p.run(l) }

// usages asks every process, in the order of processes.
func (t *trial) usages(how string) ([]usage, error) {
	var all []usage
	for _, p := range t.processes() {
		answer, err := p.do(request{Do: how})
		if err != nil {
			return nil, err
		}
		all = append(all, answer.Usage)
	}
	return all, nil
}

// window measures what all processes use while f runs.
func (t *trial) window(f func() (sample, error)) (metrics, error) {
	if err := t.profile("start"); err != nil {
		return nil, err
	}
	before, err := t.usages("usage")
	if err != nil {
		return nil, err
	}
	c := readClock()
	s, err := f()
	if err != nil {
		return nil, err
	}
	after, err := t.usages("usage")
	if err != nil {
		return nil, err
	}
	if err := t.profile("stop"); err != nil {
		return nil, err
	}
	m := metrics{"rate": s.N / s.Elapsed.Seconds(), "n": s.N}
	if s.P50 > 0 {
		m["p50"], m["p99"] = micros(s.P50), micros(s.P99)
	}
	for i, p := range t.processes() {
		cpu := (after[i].CPU - before[i].CPU) / s.N
		m["cpu."+p.role] = cpu
		m["cpu"] += cpu
		m["allocs."+p.role] = float64(after[i].Mallocs-before[i].Mallocs) / s.N
	}
	m["foreign"] = 100 * c.foreign(m["cpu"]*s.N)
	return m, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// profile has every process "start" or "stop" a profile of its CPU time, or write
// one of its "heap".
func (t *trial) profile(what string) error {
	if t.opts.profile == "" {
		return nil
	}
	folder, err := filepath.Abs(t.opts.profile)
	if err != nil {
		return err
	}
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.String())
	for _, p := range t.processes() {
		r := request{Do: "profile"}
		if what == "heap" {
			r.Do = what
		}
		if what != "stop" {
			r.Profile = filepath.Join(folder, fmt.Sprintf("%s-%s-%d.pprof", name, p.role, t.round+1))
		}
		if _, err := p.do(r); err != nil {
			return err
		}
	}
	return nil
}

// measureClient measures what the client does in a span, after a fifth of that
// to warm up.
func (t *trial) measureClient() (metrics, error) {
	l := t.load
	warm := l
	l.Span, warm.Span = t.opts.span, t.opts.span/5
	if l.Gap > 0 {
		l.Count, warm.Count = int(l.Span/l.Gap), max(int(warm.Span/l.Gap), 1)
	}
	if _, err := t.run(t.client, warm); err != nil {
		return nil, err
	}
	return t.window(func() (sample, error) { return t.run(t.client, l) })
}

// measureStream finds out first how many values take about a span.
func (t *trial) measureStream() (metrics, error) {
	l := t.load
	count, err := t.calibrate(64*max(l.Streams, 1), func(count int) (sample, error) {
		l.Count = count
		return t.run(t.client, l)
	})
	if err != nil {
		return nil, err
	}
	l.Count = max(count, 8*max(l.Streams, 1))
	return t.window(func() (sample, error) { return t.run(t.client, l) })
}

// calibrate doubles a count until it takes a fifth of a span, and returns which
// takes a whole one. It warms up, too.
func (t *trial) calibrate(count int, run func(int) (sample, error)) (int, error) {
	for {
		s, err := run(count)
		if err != nil {
			return 0, err
		}
		if s.Elapsed >= t.opts.span/5 {
			return max(int(float64(count)*t.opts.span.Seconds()/s.Elapsed.Seconds()), 1), nil
		}
		more := t.opts.span.Seconds() / 3 / max(s.Elapsed.Seconds(), 1e-6)
		count = int(float64(count) * min(max(more, 2), 16))
	}
}

// measureFanout counts deliveries, and CPU time for each update.
func (t *trial) measureFanout() (metrics, error) {
	if _, err := t.run(t.server, load{Size: t.load.Size}); err != nil {
		if _, failed := t.run(t.client, load{}); failed != nil {
			return nil, failed
		}
		return nil, err
	}
	l := t.load
	publish := func(count int) (sample, error) {
		every := max(l.Window/8, 1)
		l.Count = (count + every - 1) / every * every
		if _, err := t.run(t.client, l); err != nil {
			return sample{}, err
		}
		return t.run(t.server, l)
	}
	l.Window = min(l.Window, 8)
	count, err := t.calibrate(8, publish)
	if err != nil {
		return nil, err
	}
	l.Window = min(t.load.Window, max(count/4/8*8, 8)) // slow systems need less
	// What is to be seen takes so long, with this window.
	if t.times > 1 {
		if count, err = t.calibrate(count, publish); err != nil {
			return nil, err
		}
		count *= t.times
	}
	m, err := t.window(func() (sample, error) { return publish(max(count, l.Window)) })
	if err != nil {
		return nil, err
	}
	m["deliveries"] = m["rate"] * float64(l.Streams)
	return m, nil
}

// measureIdle takes the resident memory for each stream, and for each beyond the
// first ten thousand.
func (t *trial) measureIdle() (metrics, error) {
	const first = 10_000
	m := metrics{"n": float64(t.load.Streams)}
	before, err := t.settled(0)
	if err != nil {
		return nil, err
	}
	part, err := t.settled(min(first, t.load.Streams))
	if err != nil {
		return nil, err
	}
	all := part
	if t.load.Streams > first {
		if all, err = t.settled(t.load.Streams - first); err != nil {
			return nil, err
		}
	}
	if err := t.profile("heap"); err != nil {
		return nil, err
	}
	for i, p := range t.processes() {
		m["rss."+p.role] = (all[i].RSS - before[i].RSS) / float64(t.load.Streams)
		if t.load.Streams > first {
			m["slope."+p.role] = (all[i].RSS - part[i].RSS) / float64(t.load.Streams-first)
		}
	}
	return m, nil
}

// settled opens more streams and returns what is used when nothing happens any
// more.
func (t *trial) settled(more int) ([]usage, error) {
	l := t.load
	l.Count = more
	if _, err := t.run(t.client, l); err != nil {
		return nil, err
	}
	if err := t.wait(500 * time.Millisecond); err != nil {
		return nil, err
	}
	return t.usages("rest")
}

func (t *trial) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}
