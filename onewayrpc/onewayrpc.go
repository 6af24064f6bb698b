// SPDX-License-Identifier: Apache-2.0

// Package onewayrpc defines RPCs that send a message and hear nothing back.
package onewayrpc

import (
	"context"

	"github.com/durabus/durabus/bus"
)

// A Func takes a message. On the client a nil error means that the message was
// sent, not that it arrived or was taken well.
type Func[M any] func(ctx context.Context, message M) error

// An RPC is one version of one one-way RPC.
type RPC[M any] struct {
	Name    string    // of dot-separated tokens of [A-Za-z0-9_-]
	Version int       // from 1
	Codec   bus.Codec // nil means protobuf for messages, bytes as they are, else JSON
}

// Describe returns the RPC's name, version and kind.
func (r RPC[M]) Describe() bus.Description {
	return bus.Description{Name: r.Name, Version: r.Version, Kind: bus.OneWay}
}

// Schema returns what the RPC's messages look like on the wire.
func (r RPC[M]) Schema() bus.Schema {
	return bus.SchemaOf(nil, bus.CodecFor[M](r.Codec).Part("query"))
}

// Members makes an RPC a [bus.Definition] of one version.
func (r RPC[M]) Members() []bus.Member[Func[M]] {
	return []bus.Member[Func[M]]{{Description: r.Describe(), Schema: r.Schema(), Client: r.Client, Handler: r.Handler}}
}

// Client returns a Func that sends its messages through c.
func (r RPC[M]) Client(c bus.Caller) Func[M] {
	codec := bus.CodecFor[M](r.Codec)
	call := bus.Call{Description: r.Describe(), ContentType: codec.ContentType()}
	return func(ctx context.Context, message M) (err error) {
		call := call
		if call.Query, err = codec.Append(nil, &message); err != nil {
			return bus.QueryNotEncoded(call.Description, err)
		}
		_, err = bus.Do(ctx, c, call)
		return err
	}
}

// Handler returns a handler that takes messages with f. What f returns is
// counted and logged by the server; nobody else hears it.
func (r RPC[M]) Handler(f Func[M]) bus.Handler {
	codec := bus.CodecFor[M](r.Codec)
	h := bus.Handler{Description: r.Describe(), Schema: r.Schema(), ContentType: codec.ContentType()}
	if f == nil {
		return h // Serve refuses it
	}
	h.Call = func(ctx context.Context, c bus.Call) (bus.Reply, error) {
		message, err := codec.As(c.ContentType).Decode(c.Query)
		if err != nil {
			return bus.Reply{}, bus.QueryNotDecoded(h.Description, err)
		}
		return bus.Reply{}, bus.EncodeError(h.Description, nil, f(ctx, message))
	}
	return h
}
