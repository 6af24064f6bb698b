// SPDX-License-Identifier: Apache-2.0

// Package streamrpc is what piperpc and staterpc share: an RPC whose reply is a
// first value and then updates. A pipe is one whose first value is nothing.
package streamrpc

import (
	"context"
	"iter"

	"github.com/durabus/durabus/bus"
)

// A Func answers a query with a first value and the updates that follow it.
type Func[Q, S, U any] func(ctx context.Context, query Q) (S, iter.Seq2[U, error], error)

// An RPC is one version of one streaming RPC; see staterpc.RPC for its fields.
type RPC[Q, S, U any] struct {
	Description bus.Description
	Errors      []bus.ErrorType
	Idempotent  bool
	Window      int
	Codec       bus.Codec
}

// codecs are an RPC's, found once for all its calls.
type codecs[Q, S, U any] struct {
	of     *definition
	query  *bus.TypedCodec[Q]
	first  *bus.TypedCodec[S]
	update *bus.TypedCodec[U]
}

// A definition is what the streams of an RPC need of it.
type definition struct {
	bus.Description
	errors []bus.ErrorType
}

func (r RPC[Q, S, U]) codecs() codecs[Q, S, U] {
	return codecs[Q, S, U]{&definition{r.Description, r.Errors}, bus.CodecFor[Q](r.Codec), bus.CodecFor[S](r.Codec), bus.CodecFor[U](r.Codec)}
}

func (c codecs[Q, S, U]) as(contentType string) codecs[Q, S, U] {
	return codecs[Q, S, U]{c.of, c.query.As(contentType), c.first.As(contentType), c.update.As(contentType)}
}

func (c codecs[Q, S, U]) contentType() string {
	return bus.ContentTypeOf(c.query.ContentType(), c.first.ContentType(), c.update.ContentType())
}

// Schema returns what the RPC's values look like on the wire.
func (r RPC[Q, S, U]) Schema() bus.Schema {
	codecs := r.codecs()
	if !r.hasFirst() {
		return bus.SchemaOf(r.Errors, codecs.query.Part("query"), codecs.update.Part("update"))
	}
	return bus.SchemaOf(r.Errors, codecs.query.Part("query"), codecs.first.Part("state"), codecs.update.Part("update"))
}

// hasFirst reports whether a first value travels: a pipe sends none at all.
func (r RPC[Q, S, U]) hasFirst() bool { return r.Description.Kind == bus.State }
