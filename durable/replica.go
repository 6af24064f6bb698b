// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
)

// A Replica holds the current state of a state RPC, for those who want the state
// and not the events. It follows the RPC in a goroutine of its own, which ends at
// Close, when the context of the replica is done, at an error that the policy
// calls final, and at a panic. What it holds can be read at any time, after that
// too, by several goroutines.
type Replica[S any] struct {
	cancel context.CancelCauseFunc
	ready  chan struct{} // closed at the first state
	done   chan struct{} // closed when the goroutine has ended

	mu    sync.RWMutex // guards the fields below; held while updates are applied
	view  View[S]
	since time.Time // when the state was last known to be current, unless it is Live
}

// A View is what a replica holds and what is known of it.
type View[S any] struct {
	State     S         // zero until there is one
	Snapshots uint64    // states that were fetched; 0: there is none yet
	Changed   time.Time // when the latest of these was; zero if there is no State
	Info      *bus.Info // of the stream that State comes from; nil if there is none

	// The position of State in its source, if Info.Epoch says that there is one
	// which counts its updates: those up to it are applied, and none behind it if
	// Exact, which is so but for the moment in which a message of several is
	// applied. State is then the state that the source had at this position.
	Position uint64
	Exact    bool

	Live bool          // the stream is open: State is what its source last told
	Age  time.Duration // since State was last Live, or since the replica began; zero while it is Live
	Err  error         // why it is not; nil if it is, or if the first attempt is under way
}

// NewReplica returns a replica that asks f for query and has apply work each
// update into the state. Apply may change the state it is given, if the state is
// only ever looked at in [Replica.Read]; else it returns another. It must not change
// the update, then or later as a part of the state, which other replicas may share;
// nor use the replica.
//
// An update that cannot be converted would leave the state wrong for ever, so that
// it is the end of its stream (see staterpc.Strict) and the state is fetched anew.
func NewReplica[Q, S, U any](ctx context.Context, f staterpc.Func[Q, S, U], query Q, apply func(S, U) S, p Policy) *Replica[S] {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &Replica[S]{cancel: cancel, ready: make(chan struct{}), done: make(chan struct{}), since: time.Now()}
	go func() {
		defer close(r.done)
		defer cancel(nil)
		err := errExited
		defer func() { r.stale(err) }()
		err = replicate(ctx, r, f, query, apply, p)
	}()
	return r
}

// replicate follows f until it is over, and returns why.
func replicate[Q, S, U any](ctx context.Context, r *Replica[S], f staterpc.Func[Q, S, U], query Q, apply func(S, U) S, p Policy) (err error) {
	if f == nil || apply == nil {
		return &bus.Error{Code: bus.Invalid, Message: "durable: a Replica needs a Func and an apply function"}
	}
	defer func() {
		if v := recover(); v != nil {
			err = panicked("following a state", v)
		}
	}()
	var info *bus.Info
	for ev := range State(ctx, staterpc.Strict(f), query, p) {
		switch ev.Kind {
		case Connected:
			info = ev.Info
		case Snapshot:
			r.fetched(ev.State, info)
		case Update:
			update(r, apply, ev.Update)
		case Resumed:
			r.resumed(ev.Info)
		case Lost, FailedToConnect, Rejected:
			r.stale(ev.Err)
			err = ev.Err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err // which was final
}

func (r *Replica[S]) fetched(state S, info *bus.Info) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := &r.view
	*v = View[S]{State: state, Snapshots: v.Snapshots + 1, Changed: time.Now(), Info: info, Live: true}
	if v.Snapshots == 1 {
		close(r.ready)
	}
}

func update[S, U any](r *Replica[S], apply func(S, U) S, u U) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.view.State = apply(r.view.State, u)
	r.view.Changed = time.Now()
}

func (r *Replica[S]) resumed(info *bus.Info) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.view.Info, r.view.Live, r.view.Err = info, true, nil
}

func (r *Replica[S]) stale(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.view.Live {
		r.since = time.Now()
	}
	r.view.Live, r.view.Err = false, err
}

// View returns what the replica holds. Its State is shared with the replica: it
// is for reading, and only if the apply function leaves alone the state it is
// given; else use [Replica.Read].
func (r *Replica[S]) View() (v View[S]) {
	r.Read(func(now View[S]) { v = now })
	return v
}

// Read calls read with what the replica holds. No update is applied before read
// returns, so that it should be quick, and must not use the replica.
func (r *Replica[S]) Read(read func(View[S])) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v := r.view
	if v.Info != nil {
		v.Position, v.Exact = v.Info.Reached()
	}
	if !v.Live {
		v.Age = time.Since(r.since)
	}
	read(v)
}

// Ready waits for the first state. It returns an error if ctx is done or the
// replica has ended without one.
func (r *Replica[S]) Ready(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-r.done:
	case <-ctx.Done():
	}
	switch err := r.View().Err; {
	case isClosed(r.ready):
		return nil
	case isClosed(r.done):
		return fmt.Errorf("durable: the replica ended without a state: %w", err)
	case err != nil:
		return fmt.Errorf("durable: no state yet, %w: %w", context.Cause(ctx), err)
	}
	return fmt.Errorf("durable: no state yet: %w", context.Cause(ctx))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Done is closed when the replica has ended: its state will not change, and its
// View says why in Err.
func (r *Replica[S]) Done() <-chan struct{} { return r.done }

// Close ends the replica, with [ErrClosed], and waits for its goroutine. The
// function given to Read and the apply function must not call it.
func (r *Replica[S]) Close() {
	r.cancel(ErrClosed)
	<-r.done
}

// errExited is the error of a goroutine that was left by runtime.Goexit.
var errExited = errors.New("durable: runtime.Goexit was called")
