// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// patience is how long the conductor waits for what happens at once.
const patience = 30 * time.Second

// A scale is how much load a fleet has.
type scale struct {
	rate   int // calls a second of all callers
	pipes  int // of each caller
	states int // of all callers
}

// A fleet is all processes, the proxies between some of them, and what the
// callers have said.
type fleet struct {
	t          *testing.T
	undertaker *undertaker
	nodes      []*node
	responders []*responderProcess
	callers    []*callerProcess
	links      []*broker.Proxy // of a responder, two callers and the leaf node
	began      time.Time
	events     []event       // faults so far
	calm       time.Time     // since the last of them
	used       time.Duration // of processors, before that

	mu       sync.Mutex // guards the fields below
	failures []failure
	endings  []ending
	holes    []hole
	starts   map[callID][]start // of handlers
	broken   int                // promises, told by callers
}

// A responderProcess is one responder, over all its processes.
type responderProcess struct {
	*process
	place string // URL
}

// A callerProcess is one caller.
type callerProcess struct {
	*process
	id    int
	ready chan struct{}

	mu   sync.Mutex
	tick tick // the last
}

// newFleet starts everything, and returns when all states are there.
func newFleet(t *testing.T, s scale) *fleet {
	f := &fleet{t: t, starts: map[callID][]start{}}
	var err error
	if f.undertaker, err = newUndertaker(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.end)
	var link *broker.Proxy
	f.nodes, link = newNodes(t)
	for _, n := range f.nodes {
		f.must(n.start(f.undertaker))
	}
	through := func(n int) string {
		p := broker.RunProxy(t, f.nodes[n].url())
		f.links = append(f.links, p)
		return p.URL()
	}
	// One responder is a neighbour of its broker, one behind a network that fails,
	// and one knows of other brokers.
	moving := strings.Join([]string{f.nodes[2].url(), f.nodes[0].url(), f.nodes[1].url()}, ",")
	for _, place := range []string{f.nodes[0].url(), through(1), moving} {
		r := &responderProcess{place: place}
		f.responders = append(f.responders, r)
		f.must(f.serve(r))
	}
	places := []struct{ user, url string }{
		{"pricer", f.nodes[0].url()},
		{"pricer", through(1)},
		{"pricer", moving},
		{"pricer", f.nodes[leaf].url()},
		{"pricer", through(west)},
		{"alice", f.nodes[1].url()},
	}
	f.links = append(f.links, link)
	for i, p := range places {
		share := (s.states + i) / len(places)
		f.must(f.call(callerSpec{ID: i, User: p.user, URL: p.url, Rate: s.rate / len(places), Pipes: s.pipes, States: share}))
	}
	if late := f.settle(time.Now(), patience); late != "" {
		t.Fatalf("the fleet does not come up: %s", late)
	}
	f.began, f.used = time.Now(), processors()
	f.calm = f.began
	return f
}

// processors is the time that this process, and those it started that have ended,
// had of any processor.
func processors() (used time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			used += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return used
}

// must ends the test where the conductor itself fails.
func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// serve starts another process of a responder and returns when it serves.
func (f *fleet) serve(r *responderProcess) error {
	ready := make(chan struct{})
	name := fmt.Sprint("responder-", time.Now().UnixNano())
	p, err := role(f.undertaker, name, "responder", responderSpec{r.place}, func(line string) {
		if line == "ready" {
			close(ready)
			return
		}
		f.hearStart(line)
	})
	if err != nil {
		return err
	}
	r.process = p
	return f.await(ready, p)
}

// call starts a caller.
func (f *fleet) call(spec callerSpec) error {
	c := &callerProcess{id: spec.ID, ready: make(chan struct{})}
	p, err := role(f.undertaker, fmt.Sprint("caller-", spec.ID), "caller", spec, func(line string) { f.hear(c, line) })
	if err != nil {
		return err
	}
	c.process = p
	f.callers = append(f.callers, c)
	return f.await(c.ready, p)
}

func (f *fleet) await(ready <-chan struct{}, p *process) error {
	select {
	case <-ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s has ended", p.name)
	case <-time.After(patience):
		return fmt.Errorf("%s is not ready", p.name)
	}
}

// A callID is one call.
type callID struct {
	caller int
	n      uint64
}

// hearStart takes down that a handler has started.
func (f *fleet) hearStart(line string) {
	s, err := readStart(line)
	if err != nil {
		f.t.Errorf("a responder says %q", line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id := callID{s.caller, s.n}
	f.starts[id] = append(f.starts[id], s)
}

// hear takes down what a caller says.
func (f *fleet) hear(c *callerProcess, line string) {
	var r report
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		r.Broken = fmt.Sprintf("caller %d says %q", c.id, line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case r.Ready:
		close(c.ready)
	case r.Tick != nil:
		c.mu.Lock()
		c.tick = *r.Tick
		c.mu.Unlock()
	case r.Failed != nil:
		r.Failed.Caller = c.id
		f.failures = append(f.failures, *r.Failed)
	case r.Ended != nil:
		f.endings = append(f.endings, *r.Ended)
	case r.Hole != nil:
		r.Hole.Caller = c.id
		f.holes = append(f.holes, *r.Hole)
	case r.Broken != "":
		if f.broken++; f.broken <= 20 {
			f.t.Error(time.Now().Format(time.TimeOnly), r.Broken)
		}
	}
}

// ticks returns how the callers fare.
func (f *fleet) ticks() (all []tick) {
	for _, c := range f.callers {
		c.mu.Lock()
		all = append(all, c.tick)
		c.mu.Unlock()
	}
	return all
}

// settle waits until every state of every caller has news that was made after a
// time, and calls are answered that were made after it. It says what is missing,
// if that is not so within the bound.
func (f *fleet) settle(after time.Time, bound time.Duration) (missing string) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(bound); ; {
		if missing = f.unsettled(after); missing == "" || time.Now().After(deadline) {
			return missing
		}
		<-poll.C
	}
}

func (f *fleet) unsettled(after time.Time) string {
	for i, t := range f.ticks() {
		switch {
		case !t.Stalest.After(after):
			return fmt.Sprintf("caller %d has states without news since %v ago, %d live", i, time.Since(t.Stalest).Round(time.Millisecond), t.Live)
		case !t.Answered.After(after):
			return fmt.Sprintf("caller %d has no answer since %v ago", i, time.Since(t.Answered).Round(time.Millisecond))
		case t.Open > 0 && time.Since(t.Oldest) > callBound:
			return fmt.Sprintf("caller %d has a call that began %v ago", i, time.Since(t.Oldest).Round(time.Millisecond))
		}
	}
	return ""
}

// rest ends the load: callers first, so that all that is under way is answered.
func (f *fleet) rest() {
	leave := func(p *process) {
		if err := p.signal(syscall.SIGTERM); err != nil {
			f.t.Error(err)
		}
		select {
		case <-p.ended:
		case <-time.After(patience):
			f.t.Errorf("%s does not end", p.name)
			return
		}
		if !p.cmd.ProcessState.Success() {
			f.t.Errorf("%s ended as %v", p.name, p.cmd.ProcessState)
		}
	}
	var all sync.WaitGroup
	for _, c := range f.callers {
		all.Go(func() { leave(c.process) })
	}
	all.Wait()
	for _, r := range f.responders {
		all.Go(func() { leave(r.process) })
	}
	all.Wait()
}

// end ends what is left of the fleet. It may be called again.
func (f *fleet) end() {
	for _, c := range f.callers {
		c.kill()
	}
	for _, r := range f.responders {
		if r.process != nil {
			r.kill()
		}
	}
	for _, n := range f.nodes {
		if n.process != nil {
			n.process.kill()
		}
	}
	f.undertaker.dismiss()
}
