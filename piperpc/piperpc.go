// SPDX-License-Identifier: Apache-2.0

// Package piperpc defines RPCs that answer a query with updates.
//
// A durable pipe is taken up where it was interrupted if its updates are those of
// a staterpc.Publisher that keeps a backlog. There is none of pipes alone: what
// [Push] sends was made for one caller, and nobody keeps it when he is gone.
//
// A reader that is slower than its pipe stops whoever sends, or is [bus.Lost] where
// others share the pipe; with [Conflate] what comes while it is busy is merged.
package piperpc

import (
	"context"
	"iter"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/streamrpc"
)

// A Func answers a query with updates. It is what a client calls and what a
// server implements.
//
// The updates are single-use. Their loop ends without an error when the server
// has no more, and with one when they are cut short; only after a
// [bus.ElementError], or a [bus.Break] if those were asked for, does it go on.
// They cost the server until the loop ends or ctx is done, so ctx governs the
// whole stream and not only its opening. On the server nil updates are none.
type Func[Q, U any] func(ctx context.Context, query Q) (iter.Seq2[U, error], error)

// An RPC is one version of one pipe RPC.
type RPC[Q, U any] struct {
	Name       string          // of dot-separated tokens of [A-Za-z0-9_-]
	Version    int             // from 1
	Errors     []bus.ErrorType // that handlers return, at once or as their updates' end, and callers find
	Idempotent bool            // safe to open more than once
	Window     int             // bytes of updates on their way to a reader at most; default 8 MiB
	Codec      bus.Codec       // nil means protobuf for messages, bytes as they are, else JSON
}

// Describe returns the RPC's name, version and kind.
func (r RPC[Q, U]) Describe() bus.Description {
	return bus.Description{Name: r.Name, Version: r.Version, Kind: bus.Pipe}
}

// Schema returns what the RPC's values look like on the wire.
func (r RPC[Q, U]) Schema() bus.Schema { return r.stream().Schema() }

// Members makes an RPC a [bus.Definition] of one version.
func (r RPC[Q, U]) Members() []bus.Member[Func[Q, U]] {
	return []bus.Member[Func[Q, U]]{{Description: r.Describe(), Schema: r.Schema(), Client: r.Client, Handler: r.Handler}}
}

// Client returns a Func that sends its queries through c. It waits for the
// server's verdict; its updates wait for each next one.
func (r RPC[Q, U]) Client(c bus.Caller) Func[Q, U] { return pipe(r.stream().Client(c)) }

// Handler returns a handler that answers with f. The server loops over f's
// updates as its reader has room, and ends ctx when nobody reads any more.
func (r RPC[Q, U]) Handler(f Func[Q, U]) bus.Handler { return r.stream().Handler(f.stream()) }

// A pipe is a state RPC whose state is nothing.
type none struct{}

func (r RPC[Q, U]) stream() streamrpc.RPC[Q, none, U] {
	return streamrpc.RPC[Q, none, U]{
		Description: r.Describe(), Errors: r.Errors, Idempotent: r.Idempotent, Window: r.Window, Codec: r.Codec,
	}
}

func (f Func[Q, U]) stream() streamrpc.Func[Q, none, U] {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, query Q) (none, iter.Seq2[U, error], error) {
		updates, err := f(ctx, query)
		return none{}, updates, err
	}
}

func pipe[Q, U any](f streamrpc.Func[Q, none, U]) Func[Q, U] {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, query Q) (iter.Seq2[U, error], error) {
		_, updates, err := f(ctx, query)
		return updates, err
	}
}
