// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"sync"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/examples/procs"
)

// A follower keeps a replica by a durable stream, in a goroutine of its own.
type follower struct {
	tell func(event, replica) // about each event, and the replica after it
	stop context.CancelFunc
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards the fields below
	replica replica
	changed chan struct{} // closed, and replaced, when replica changes
}

// follow starts to follow the table through c.
func follow(ctx context.Context, c bus.Caller, tell func(event, replica)) *follower {
	ctx, stop := context.WithCancel(ctx)
	f := &follower{tell: tell, stop: stop, done: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(f.done)
		table := procs.Processes.Client(c)
		for ev := range durable.State(ctx, table, procs.Query{}, durable.Policy{}) {
			f.tell(ev, f.update(func(r replica) replica { return r.after(ev, time.Now()) }))
		}
	}()
	return f
}

// close ends the stream and returns when nothing more happens.
func (f *follower) close() {
	f.stop()
	<-f.done
}

// begin starts an act: how long the replica stood still is measured anew.
func (f *follower) begin() {
	f.update(func(r replica) replica { r.still = 0; return r })
}

// recount has only updates from now on counted.
func (f *follower) recount() {
	f.update(func(r replica) replica { r.count = count{}; return r })
}

// until returns the replica once it is as wanted. If ctx ends before, the
// replica is the last one.
func (f *follower) until(ctx context.Context, wanted func(replica) bool) (replica, error) {
	for {
		r, changed := f.now()
		if wanted(r) {
			return r, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
	}
}

func (f *follower) now() (replica, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replica, f.changed
}

func (f *follower) update(change func(replica) replica) replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replica = change(f.replica)
	close(f.changed)
	f.changed = make(chan struct{})
	return f.replica
}
