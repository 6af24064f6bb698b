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
	open := func(ctx context.Context) (S, iter.Seq2[U, error], error) { return f(ctx, query) }
	return follow(ctx, open, true, p)
}

// Pipe follows a pipe RPC as [State] does a state RPC, without Snapshots. The
// updates between Lost and Connected are missing.
func Pipe[Q, U any](ctx context.Context, f piperpc.Func[Q, U], query Q, p Policy) iter.Seq[Event[struct{}, U]] {
	open := func(ctx context.Context) (s struct{}, u iter.Seq2[U, error], err error) {
		u, err = f(ctx, query)
		return s, u, err
	}
	return follow(ctx, open, false, p)
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
