// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
)

// A release is a generation of callers: clients on every node of the cluster
// that make calls at a rate and follow states.
type release struct {
	roll    *rolling
	find    []ticketFunc // by client
	pay     []ticketFunc
	books   []*replica
	stop    context.CancelFunc
	running sync.WaitGroup
}

// join starts callers of versions, and returns when their states are there and
// they have called for a while.
func (r *rolling) join(versions []int, rate, books int) *release {
	ctx, stop := context.WithCancel(r.t.Context())
	c := &release{roll: r, stop: stop}
	for _, url := range r.urls {
		cl := client(r.t, url)
		c.find = append(c.find, only(findFamily, versions).Client(cl))
		c.pay = append(c.pay, only(payFamily, versions).Client(cl))
		follow := only(bookFamily, versions).Client(cl)
		for range books / len(r.urls) {
			b := &replica{roll: r, client: cl, snapshot: make(chan struct{})}
			c.books = append(c.books, b)
			c.running.Go(func() { b.follow(ctx, follow) })
		}
	}
	for _, b := range c.books {
		select {
		case <-b.snapshot:
		case <-time.After(patience):
			r.t.Fatal("a state has no first snapshot")
		}
	}
	r.releases = append(r.releases, c)
	const each = 10 // calls a second of a worker
	for i := range rate / each {
		c.running.Go(func() { c.work(ctx, i%len(r.urls), time.Second/each) })
	}
	pace(ctx, r.rest)
	r.pass(fmt.Sprint("callers have come with ", versions))
	return c
}

// leave ends the callers.
func (c *release) leave() {
	c.stop()
	c.running.Wait()
}

// work makes calls of both kinds in turn until ctx is done.
func (c *release) work(ctx context.Context, client int, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if i%2 == 0 {
			c.roll.call(c.find[client], false)
		} else {
			c.roll.call(c.pay[client], true)
		}
	}
}

// An outcome is how one call went.
type outcome struct {
	number      int
	once        bool
	version     int
	begin, over time.Time
	err         error
}

// call makes one call and notes its outcome.
func (r *rolling) call(f ticketFunc, once bool) {
	var info bus.Info
	o := outcome{number: int(r.numbers.Add(1)), once: once, begin: time.Now()}
	t, err := f(bus.WithInfo(r.t.Context(), &info), ticket3{o.number})
	o.over, o.err, o.version = time.Now(), err, info.RPC.Version
	if err == nil && t.ID != o.number {
		o.err = fmt.Errorf("the answer to %d is %d", o.number, t.ID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, o)
}

// A replica follows one state and checks every update against what its source
// publishes.
type replica struct {
	roll     *rolling
	client   *bus.Client
	snapshot chan struct{} // closed at the first

	mu        sync.Mutex // guards the fields below
	book      book3
	instance  string
	live      bool
	snapshots int
}

func (b *replica) follow(ctx context.Context, f bookFunc) {
	var lost time.Time
	var from string
	var wrong atomic.Bool // told once
	complain := func(format string, args ...any) {
		if !wrong.Swap(true) {
			b.roll.t.Errorf(format, args...)
		}
	}
	for ev := range durable.State(ctx, f, struct{}{}, durable.Policy{}) {
		switch ev.Kind {
		case durable.Connected:
			b.mu.Lock()
			b.instance = ev.Info.Instance
			b.mu.Unlock()
		case durable.Snapshot:
			b.replace(ev.State)
			if !lost.IsZero() {
				b.roll.recovered(from, lost)
			}
		case durable.Update:
			if got, want := b.fold(ev.Update); ev.Err != nil || got != want {
				complain("an update of %s: got %v, %v; want %v", b.instance, got, ev.Err, want)
			}
		case durable.Lost:
			lost, from = time.Now(), b.lose()
			b.roll.ended("lost", ev.Err)
		case durable.FailedToConnect, durable.Rejected:
			b.roll.ended("refused", ev.Err)
		}
	}
}

func (b *replica) replace(book book3) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book, b.live = book, true
	if b.snapshots++; b.snapshots == 1 {
		close(b.snapshot)
	}
}

// fold applies e and returns it beside the one that had to come. Version 1 does
// not say where an entry belongs.
func (b *replica) fold(e entry3) (got, want entry3) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book = apply(b.book, e)
	want = entryOf(b.book.Source, b.book.Position)
	if e.Position == 0 {
		want.Position = 0
	}
	return e, want
}

// lose notes that the stream ended, and returns whose it was.
func (b *replica) lose() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = false
	return b.instance
}

// compare asks the instance that b follows for the book at b's position. It
// reports false if b follows nobody now.
func (b *replica) compare(t *testing.T) bool {
	book, want, ok := b.source(t, func(b book3) int { return b.Position })
	if ok && book != want {
		t.Errorf("a replica of %s is %v, the source was %v", want.Source, book, want)
	}
	return ok
}

// arrive waits until b has all that its source has published by now, and
// compares then.
func (b *replica) arrive(t *testing.T) {
	t.Helper()
	var end book3
	eventually(t, "replicas that follow a source", func() (ok bool) {
		_, end, ok = b.source(t, func(book3) int { return -1 })
		return ok
	})
	eventually(t, "replicas that have all of their source", func() bool {
		b.mu.Lock()
		there := b.book.Source == end.Source && b.book.Position >= end.Position
		b.mu.Unlock()
		return there && b.compare(t)
	})
}

// source returns the book of b and, from the instance that b follows, that at a
// position; false if b follows nobody now.
func (b *replica) source(t *testing.T, at func(book3) int) (mine, its book3, ok bool) {
	b.mu.Lock()
	mine, instance, live := b.book, b.instance, b.live
	b.mu.Unlock()
	if !live {
		return mine, its, false
	}
	its, err := digestRPC.Client(b.client.WithInstance(instance))(t.Context(), at(mine))
	return mine, its, err == nil // else it has left meanwhile
}
