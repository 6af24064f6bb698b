// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/durabus/durabus/bus"
)

// Client returns a Func that sends its queries through c. The context that a
// call passes on ends with its stream, however that ends: an error here, the end
// of the loop, a break out of it, or the end of the caller's own context.
func (r RPC[Q, S, U]) Client(c bus.Caller) Func[Q, S, U] {
	codecs := r.codecs()
	call := bus.Call{
		Description: r.Description, ContentType: codecs.contentType(),
		Idempotent: r.Idempotent, Window: r.Window,
	}
	same := &received[U]{*codecs.of, codecs.update}
	kept := &received[U]{*codecs.of, codecs.update.Fresh()}
	passesOn := bus.PassesOn(c)
	return func(ctx context.Context, query Q) (first S, _ iter.Seq2[U, error], err error) {
		var reply bus.Reply
		cancel, open := func() {}, false
		if passesOn { // else the stream's end is all
			ctx, cancel = context.WithCancel(ctx)
		}
		defer func() {
			if !open { // it may be a panic of a codec
				bus.Leave(reply)
				cancel()
			}
		}()
		call := call
		if call.Query, err = codecs.query.Append(nil, &query); err != nil {
			return first, nil, bus.QueryNotEncoded(r.Description, err)
		}
		if reply, err = bus.Do(ctx, c, call); err != nil {
			return first, nil, bus.DecodeError(r.Errors, err)
		}
		if r.hasFirst() {
			if first, err = codecs.first.Decode(reply.First); err != nil {
				return first, nil, bus.AnswerNotDecoded(reply.Info, "the state", err)
			}
		}
		open = true
		rpc := same
		if bus.IsTakenAhead(ctx) {
			rpc = kept
		}
		re := &receiver[U]{rpc: rpc, call: reply.CallID, updates: reply.Updates, cancel: cancel}
		return first, re.receive, nil
	}
}

// A receiver is one loop over updates. A stream that nobody reads yet holds
// nothing more of this package.
type receiver[U any] struct {
	rpc     *received[U]
	call    string // its id
	updates iter.Seq2[bus.Element, error]
	cancel  context.CancelFunc
	used    atomic.Bool
}

// What is received is the same for all calls of one Func.
type received[U any] struct {
	definition
	codec *bus.TypedCodec[U]
}

func (r *receiver[U]) receive(yield func(U, error) bool) {
	if r.used.Swap(true) {
		again(r.rpc.Description, yield)
		return
	}
	defer r.cancel()
	if r.updates == nil {
		return
	}
	var u U // one for all, or each would be allocated to be decoded
	for e, err := range r.updates {
		var data []byte
		if err == nil {
			data, err = e.Bytes()
		}
		if err != nil {
			var none U
			u, err = none, bus.DecodeError(r.rpc.errors, err)
		} else if err = r.rpc.codec.DecodeElement(&u, e, data); err != nil {
			err = bus.AnswerNotDecoded(bus.Info{RPC: r.rpc.Description, CallID: r.call}, "an update", err)
		}
		if !yield(u, err) || err != nil && bus.EndsStream(err) {
			return
		}
	}
}

// SingleUse returns updates that can be looped over once. A second loop would
// wait for what the first has taken; it gets an error instead.
func SingleUse[U any](d bus.Description, updates iter.Seq2[U, error]) iter.Seq2[U, error] {
	var used atomic.Bool
	return func(yield func(U, error) bool) {
		if used.Swap(true) {
			again(d, yield)
			return
		}
		updates(yield)
	}
}

// again is the second loop.
func again[U any](d bus.Description, yield func(U, error) bool) {
	var none U
	yield(none, &bus.Error{
		Code: bus.Invalid, RPC: d,
		Message: "these updates were looped over before; open the stream again",
	})
}
