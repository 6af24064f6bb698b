// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// An outbox publishes for many, on one goroutine. What gathers with a flusher
// while the outbox is busy leaves together: messages fill as the load rises, and
// none waits when there is none.
type outbox struct {
	mu    sync.Mutex // guards the field below
	queue []flusher
	wake  chan struct{}
}

// A flusher publishes what has gathered with it. It must not wait for a peer.
type flusher interface {
	flush()
	waiting() *atomic.Bool // whether it is in the outbox's queue
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// add has f flushed soon.
func (o *outbox) add(f flusher) {
	if f.waiting().Swap(true) {
		return
	}
	o.mu.Lock()
	o.queue = append(o.queue, f)
	o.mu.Unlock()
	signal(o.wake)
}

// run flushes until quit is closed, and what was added before that.
func (o *outbox) run(quit <-chan struct{}) {
	var work, spare []flusher
	for ended := false; ; {
		o.mu.Lock()
		work, o.queue = o.queue, spare[:0]
		o.mu.Unlock()
		for _, f := range work {
			f.waiting().Store(false)
			f.flush()
		}
		clear(work)
		spare = work
		if len(work) > 0 {
			continue
		}
		if ended {
			return
		}
		select {
		case <-o.wake:
			runtime.Gosched() // who is ready to add something does so first
		case <-quit:
			ended = true
		}
	}
}

// signal wakes the one who waits on c, now or when it comes to wait.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
