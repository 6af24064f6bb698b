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
	h.Call = func(ctx context.Context, c bus.Call) (bus.Reply, error) {
		return bus.SourceOf(ctx).Snapshot(ctx, c, func() (bus.Reply, error) {
			return r.answer(ctx, f, codecs.as(c.ContentType), c.Query)
		})
	}
	return h
}

func (r RPC[Q, S, U]) answer(ctx context.Context, f Func[Q, S, U], codecs codecs[Q, S, U], encoded []byte) (reply bus.Reply, err error) {
	query, err := codecs.query.Decode(encoded)
	if err != nil {
		return reply, bus.QueryNotDecoded(r.Description, err)
	}
	first, updates, err := f(ctx, query)
	if err != nil {
		return reply, bus.EncodeError(r.Description, r.Errors, err)
	}
	if source := bus.SourceOf(ctx); r.hasFirst() && source.WantsState() {
		if source.Lends() {
			reply.First, err = codecs.first.Encode(&first)
		} else {
			reply.First, err = codecs.first.Append(nil, &first)
		}
		if err != nil {
			return bus.Reply{}, bus.AnswerNotEncoded(r.Description, "the state", err)
		}
	}
	reply.Updates = send(&codecs, updates)
	return reply, nil
}

// send encodes updates.
func send[Q, S, U any](codecs *codecs[Q, S, U], updates iter.Seq2[U, error]) iter.Seq2[bus.Element, error] {
	if updates == nil {
		return func(func(bus.Element, error) bool) {}
	}
	s := &sender[U]{of: codecs.of, updates: updates, codec: codecs.update}
	s.encoding = s.encode
	return s.send
}

// A sender is one loop over updates. Its one encoding stands for each of them in
// turn, so that none costs an allocation before the message that carries it; an
// element is valid until the next for that reason.
type sender[U any] struct {
	of       *definition
	updates  iter.Seq2[U, error]
	codec    *bus.TypedCodec[U]
	current  U
	encoding func([]byte) ([]byte, error) // of current
}

func (s *sender[U]) encode(dst []byte) ([]byte, error) {
	b, err := s.codec.Append(dst, &s.current)
	if err != nil {
		err = bus.AnswerNotEncoded(s.of.Description, "an update", err)
	}
	return b, err
}

func (s *sender[U]) send(yield func(bus.Element, error) bool) {
	for u, err := range s.updates {
		if err != nil {
			if !s.fail(err, yield) {
				return
			}
			continue
		}
		s.current = u
		if !yield(bus.EncodedBy(s.encoding), nil) {
			return
		}
	}
}

// fail yields an error and reports whether more may follow it.
func (s *sender[U]) fail(err error, yield func(bus.Element, error) bool) bool {
	if bus.EndsStream(err) {
		yield(bus.Element{}, bus.EncodeError(s.of.Description, s.of.errors, err))
		return false
	}
	return yield(bus.Element{}, err)
}
