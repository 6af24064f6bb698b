// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"context"
	"iter"

	"github.com/durabus/durabus/bus"
)

// Handler returns a handler that answers with f. Nil updates are no updates.
func (r RPC[Q, S, U]) Handler(f Func[Q, S, U]) bus.Handler {
	codecs := r.codecs()
	h := bus.Handler{Description: r.Description, Schema: r.Schema(), ContentType: codecs.contentType()}
	if f == nil {
		return h // Serve refuses it
	}
	h.Call = func(ctx context.Context, c bus.Call) (reply bus.Reply, err error) {
		codecs := codecs.as(c.ContentType)
		query, err := codecs.query.Decode(c.Query)
		if err != nil {
			return reply, bus.QueryNotDecoded(r.Description, err)
		}
		first, updates, err := f(ctx, query)
		if err != nil {
			return reply, bus.EncodeError(r.Description, r.Errors, err)
		}
		if r.hasFirst() && bus.SourceOf(ctx).WantsState() {
			if reply.First, err = codecs.first.Append(nil, &first); err != nil {
				return bus.Reply{}, bus.AnswerNotEncoded(r.Description, "the state", err)
			}
		}
		reply.Updates = r.send(updates, codecs.update)
		return reply, nil
	}
	return h
}

// send encodes updates. One variable and one closure serve the whole stream, so
// that no update costs an allocation before the message that carries it; an
// element is valid until the next for that reason.
func (r RPC[Q, S, U]) send(updates iter.Seq2[U, error], codec bus.TypedCodec[U]) iter.Seq2[bus.Element, error] {
	return func(yield func(bus.Element, error) bool) {
		if updates == nil {
			return
		}
		var current U
		element := bus.EncodedBy(func(dst []byte) ([]byte, error) {
			b, err := codec.Append(dst, &current)
			if err != nil {
				err = bus.AnswerNotEncoded(r.Description, "an update", err)
			}
			return b, err
		})
		for u, err := range updates {
			switch {
			case err == nil:
				current = u
				if !yield(element, nil) {
					return
				}
			case bus.EndsStream(err):
				yield(bus.Element{}, bus.EncodeError(r.Description, r.Errors, err))
				return
			default:
				if !yield(bus.Element{}, err) {
					return
				}
			}
		}
	}
}
