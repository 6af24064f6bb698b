// SPDX-License-Identifier: Apache-2.0

// Package staterpc defines RPCs that answer a query with a state and then with
// updates to that state.
//
// A reader that is slower than the updates stops whoever sends them to it alone,
// and is [bus.Lost] where they are shared with others; with [Conflate] what comes
// while it is busy is merged, and neither happens.
package staterpc

import (
	"context"
	"iter"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/streamrpc"
)

// A Func answers a query with a state and its updates. It is what a client
// calls and what a server implements.
//
// The updates are single-use. Their loop ends without an error when the server
// has no more, and with one when they are cut short; only after a
// [bus.ElementError], or a [bus.Break] if those were asked for, does it go on.
// They cost the server until the loop ends or ctx is done, so ctx governs the
// whole stream and not only its opening. On the server nil updates are none, and a
// state that is a []byte is sent from where it is: it must not change before the
// updates are asked for.
type Func[Q, S, U any] func(ctx context.Context, query Q) (S, iter.Seq2[U, error], error)

// An RPC is one version of one state RPC. It may be opened more than once.
type RPC[Q, S, U any] struct {
	Name    string          // of dot-separated tokens of [A-Za-z0-9_-]
	Version int             // from 1
	Errors  []bus.ErrorType // that handlers return, at once or as their updates' end, and callers find
	Window  int             // bytes of updates on their way to a reader at most; default 8 MiB
	Codec   bus.Codec       // nil means protobuf for messages, bytes as they are, else JSON
}

// Describe returns the RPC's name, version and kind.
func (r RPC[Q, S, U]) Describe() bus.Description {
	return bus.Description{Name: r.Name, Version: r.Version, Kind: bus.State}
}

// Schema returns what the RPC's values look like on the wire.
func (r RPC[Q, S, U]) Schema() bus.Schema { return r.stream().Schema() }

// Members makes an RPC a [bus.Definition] of one version.
func (r RPC[Q, S, U]) Members() []bus.Member[Func[Q, S, U]] {
	return []bus.Member[Func[Q, S, U]]{{Description: r.Describe(), Schema: r.Schema(), Client: r.Client, Handler: r.Handler}}
}

// Client returns a Func that sends its queries through c. It waits for the
// state; its updates wait for each next one.
func (r RPC[Q, S, U]) Client(c bus.Caller) Func[Q, S, U] { return Func[Q, S, U](r.stream().Client(c)) }

// Handler returns a handler that answers with f. The server loops over f's
// updates as its reader has room, and ends ctx when nobody reads any more.
func (r RPC[Q, S, U]) Handler(f Func[Q, S, U]) bus.Handler {
	return r.stream().Handler(streamrpc.Func[Q, S, U](f))
}

func (r RPC[Q, S, U]) stream() streamrpc.RPC[Q, S, U] {
	return streamrpc.RPC[Q, S, U]{
		Description: r.Describe(), Errors: r.Errors, Idempotent: true, Window: r.Window, Codec: r.Codec,
	}
}
