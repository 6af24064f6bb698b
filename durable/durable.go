// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"iter"

	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

// State follows a state RPC: it asks f for query, again and again. Nothing is
// asked before the loop begins. The package comment says in which order events
// come and what ends them.
func State[Q, S, U any](ctx context.Context, f staterpc.Func[Q, S, U], query Q, p Policy) iter.Seq[Event[S, U]] {
	return follow(ctx, bind(f, query), true, p, nil)
}

// StateOrFail is [State] whose first attempt is made before it returns and whose
// failure is its error, as f gave it; there are no events then. The stream of a
// first attempt that succeeded waits for the loop, whose first events are
// Attempting, Connected and Snapshot all the same. It is open until that loop is
// left or ctx is done: who never loops cancels ctx. A later loop follows anew.
func StateOrFail[Q, S, U any](ctx context.Context, f staterpc.Func[Q, S, U], query Q, p Policy) (iter.Seq[Event[S, U]], error) {
	return orFail(ctx, bind(f, query), true, p)
}

// Pipe follows a pipe RPC as [State] does a state RPC, without Snapshots. The
// updates between Lost and Connected are missing.
func Pipe[Q, U any](ctx context.Context, f piperpc.Func[Q, U], query Q, p Policy) iter.Seq[Event[struct{}, U]] {
	return follow(ctx, bindPipe(f, query), false, p, nil)
}

// PipeOrFail is to [Pipe] what [StateOrFail] is to [State].
func PipeOrFail[Q, U any](ctx context.Context, f piperpc.Func[Q, U], query Q, p Policy) (iter.Seq[Event[struct{}, U]], error) {
	return orFail(ctx, bindPipe(f, query), false, p)
}

func orFail[S, U any](ctx context.Context, f open[S, U], snapshots bool, p Policy) (iter.Seq[Event[S, U]], error) {
	first, err := f.enter(p.resuming(ctx, false))
	if err != nil {
		return nil, err
	}
	return follow(ctx, f, snapshots, p, first), nil
}

func bind[Q, S, U any](f staterpc.Func[Q, S, U], query Q) open[S, U] {
	return func(ctx context.Context) (S, iter.Seq2[U, error], error) { return f(ctx, query) }
}

func bindPipe[Q, U any](f piperpc.Func[Q, U], query Q) open[struct{}, U] {
	return func(ctx context.Context) (s struct{}, u iter.Seq2[U, error], err error) {
		u, err = f(ctx, query)
		return s, u, err
	}
}

// Chan moves events into an unbuffered channel, for select, and closes it when
// they have ended. The goroutine that does so lives until then: who stops reading
// cancels ctx, which must be the context that the events were made with.
func Chan[S, U any](ctx context.Context, events iter.Seq[Event[S, U]]) <-chan Event[S, U] {
	c := make(chan Event[S, U])
	go func() {
		defer close(c)
		for ev := range events {
			select {
			case c <- ev:
			case <-ctx.Done():
				return
			}
		}
	}()
	return c
}
