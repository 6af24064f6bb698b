// SPDX-License-Identifier: Apache-2.0

// Package unaryrpc defines RPCs that answer a query once.
package unaryrpc

import (
	"context"

	"github.com/durabus/durabus/bus"
)

// A Func answers a query. It is what a client calls and what a server
// implements. A client's errors are of type [*bus.Error].
type Func[Q, R any] func(ctx context.Context, query Q) (R, error)

// An RPC is one version of one unary RPC.
type RPC[Q, R any] struct {
	Name       string          // of dot-separated tokens of [A-Za-z0-9_-]
	Version    int             // from 1
	Errors     []bus.ErrorType // that handlers return and callers find
	Idempotent bool            // safe to carry out more than once
	Codec      bus.Codec       // nil means protobuf for messages, bytes as they are, else JSON
}

// Describe returns the RPC's name, version and kind.
func (r RPC[Q, R]) Describe() bus.Description {
	return bus.Description{Name: r.Name, Version: r.Version, Kind: bus.Unary}
}

// Schema returns what the RPC's values look like on the wire.
func (r RPC[Q, R]) Schema() bus.Schema {
	in, out := bus.CodecFor[Q](r.Codec), bus.CodecFor[R](r.Codec)
	return bus.SchemaOf(r.Errors, in.Part("query"), out.Part("answer"))
}

// Members makes an RPC a [bus.Definition] of one version.
func (r RPC[Q, R]) Members() []bus.Member[Func[Q, R]] {
	return []bus.Member[Func[Q, R]]{{Description: r.Describe(), Schema: r.Schema(), Client: r.Client, Handler: r.Handler}}
}

// Client returns a Func that sends its queries through c. It waits for the
// answer until ctx is done.
func (r RPC[Q, R]) Client(c bus.Caller) Func[Q, R] {
	in, out := bus.CodecFor[Q](r.Codec), bus.CodecFor[R](r.Codec)
	call := bus.Call{
		Description: r.Describe(), Idempotent: r.Idempotent,
		ContentType: bus.ContentTypeOf(in.ContentType(), out.ContentType()),
	}
	return func(ctx context.Context, query Q) (answer R, err error) {
		call := call
		if call.Query, err = in.Append(nil, &query); err != nil {
			return answer, bus.QueryNotEncoded(call.Description, err)
		}
		reply, err := bus.Do(ctx, c, call)
		if err != nil {
			return answer, bus.DecodeError(r.Errors, err)
		}
		if answer, err = out.Decode(reply.First); err != nil {
			return answer, bus.AnswerNotDecoded(reply.Info, "the answer", err)
		}
		return answer, nil
	}
}

// Handler returns a handler that answers with f.
func (r RPC[Q, R]) Handler(f Func[Q, R]) bus.Handler {
	in, out := bus.CodecFor[Q](r.Codec), bus.CodecFor[R](r.Codec)
	h := bus.Handler{
		Description: r.Describe(), Schema: r.Schema(),
		ContentType: bus.ContentTypeOf(in.ContentType(), out.ContentType()),
	}
	if f == nil {
		return h // Serve refuses it
	}
	h.Call = func(ctx context.Context, c bus.Call) (bus.Reply, error) {
		query, err := in.As(c.ContentType).Decode(c.Query)
		if err != nil {
			return bus.Reply{}, bus.QueryNotDecoded(h.Description, err)
		}
		answer, err := f(ctx, query)
		if err != nil {
			return bus.Reply{}, bus.EncodeError(h.Description, r.Errors, err)
		}
		first, err := out.As(c.ContentType).Append(nil, &answer)
		if err != nil {
			return bus.Reply{}, bus.AnswerNotEncoded(h.Description, "the answer", err)
		}
		return bus.Reply{First: first}, nil
	}
	return h
}
