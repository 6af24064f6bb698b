// SPDX-License-Identifier: Apache-2.0

package staterpc

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"sync"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/streamrpc"
)

// ErrLagged ends the updates of a watcher that fell too far behind; it is a
// [bus.Lost], and that is what callers in other processes see. Opening again
// brings a fresh state.
var ErrLagged = fmt.Errorf("staterpc: the watcher fell behind by more than its backlog; open again for a fresh state: %w", bus.Lost)

// A Publisher holds a state and tells every watcher about every update to it. It
// has no goroutine of its own and may be used by several.
type Publisher[S, U any] struct {
	apply   func(S, U) S
	backlog int

	mu       sync.Mutex // guards the fields below; held while apply runs
	state    S
	position uint64 // of state: how many updates were published
	history  history[S, U]
	watchers []*tail[U] // each knows its place
}

// NewPublisher returns a publisher of state. Apply returns the state after an
// update; it must leave the one it is given as it is, which watchers may be
// reading, and must not use the Publisher. A watcher may be backlog updates
// behind, at least one, before it is cut off.
func NewPublisher[S, U any](state S, apply func(S, U) S, backlog int) *Publisher[S, U] {
	return &Publisher[S, U]{
		apply: apply, backlog: backlog, state: state,
		history: history[S, U]{epoch: rand.Text(), base: state},
	}
}

// Publish applies u and passes it on to the watchers, without waiting for them.
// One that has no room gets what it has not read yet, and then [ErrLagged].
func (p *Publisher[S, U]) Publish(u U) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state, size := p.apply(p.state, u), p.history.size(u) // a panic of either leaves all as it was
	p.state = state
	p.position++
	p.history.add(u, size)
	for i := len(p.watchers) - 1; i >= 0; i-- { // from behind, where drop takes the place's next one from
		if t := p.watchers[i]; !t.offer(u) {
			t.close(ErrLagged)
			p.drop(t)
		}
	}
	p.history.trim(p.apply) // last, as apply may panic here as well
}

// Watchers returns how many watch now: who left, or was cut off, does not count.
func (p *Publisher[S, U]) Watchers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.watchers)
}

// Watch returns the state and every update after it, until ctx is done or the
// watcher lags. The state is shared with other watchers and must not be changed.
// In the handler of a call that takes up a stream, and with a backlog that
// reaches back so far (see [Publisher.Keep]), they are those of where that was.
func (p *Publisher[S, U]) Watch(ctx context.Context) (S, iter.Seq2[U, error], error) {
	if ctx.Err() != nil {
		var none S
		return none, nil, context.Cause(ctx)
	}
	t := newTail[U](ctx, p.backlog)
	source := bus.SourceOf(ctx)
	state, before, missed := p.join(t, source)
	for _, u := range before {
		state = p.apply(state, u)
	}
	stop := context.AfterFunc(ctx, func() { p.leave(t) }) // also for updates that are never looped over
	updates := t.updates()
	if source != nil || len(missed) > 0 {
		updates = located(source, missed, updates)
	}
	return state, streamrpc.SingleUse(bus.Description{}, func(yield func(U, error) bool) {
		defer p.leave(t)
		defer stop()
		updates(yield)
	}), nil
}

// join adds t, and returns the state where the source is to begin: a state, what
// to apply to it, and the updates between there and the first that t gets.
func (p *Publisher[S, U]) join(t *tail[U], source *bus.Source) (state S, before, missed []U) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.place = len(p.watchers)
	p.watchers = append(p.watchers, t)
	epoch, position := source.Asked()
	before, missed, ok := p.history.since(epoch, position, p.position)
	if ok && position < p.position { // most missed nothing: the state need not be made again
		source.Begin(epoch, position)
		return p.history.base, before, missed
	}
	source.Begin(p.history.epoch, p.position)
	return p.state, nil, nil
}

func (p *Publisher[S, U]) leave(t *tail[U]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(t)
}

// drop takes t off the watchers, if it is there. p.mu is held.
func (p *Publisher[S, U]) drop(t *tail[U]) {
	if t.place < 0 {
		return
	}
	last := len(p.watchers) - 1
	p.watchers[t.place] = p.watchers[last]
	p.watchers[t.place].place = t.place
	p.watchers[last], p.watchers = nil, p.watchers[:last]
	t.place = -1
}
