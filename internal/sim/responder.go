// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// What is called. A query says what its handler is to do.
type (
	query struct {
		Call   uint64
		Caller string
		Takes  time.Duration // until the answer, or between two updates
		Count  int           // of updates
		Size   int           // of an answer or an update
		Fails  bool          // in the end
		Pad    string
	}
	answer struct {
		Call uint64
		Pad  string
	}
	item struct {
		Call   uint64
		Run, N int
		Pad    string
	}
	book   struct{ N, Sum uint64 }
	change struct {
		N, By uint64
		Pad   string
	}
	oldQuote struct {
		Call   uint64
		Caller string
	}
	oldAnswer struct{ Of uint64 }
)

var (
	addRPC  = unaryrpc.RPC[query, answer]{Name: "sim.add", Version: 1, Codec: plain{}}
	getRPC  = unaryrpc.RPC[query, answer]{Name: "sim.get", Version: 1, Codec: plain{}, Idempotent: true}
	tellRPC = onewayrpc.RPC[query]{Name: "sim.tell", Version: 1, Codec: plain{}}
	listRPC = piperpc.RPC[query, item]{Name: "sim.list", Version: 1, Codec: plain{}}
	bookRPC = staterpc.RPC[int, book, change]{Name: "sim.book", Version: 1, Codec: plain{}}
	feedRPC = piperpc.RPC[int, change]{Name: "sim.feed", Version: 1, Codec: plain{}}

	// What all callers share.
	sharedBookRPC = staterpc.RPC[int, book, change]{Name: "sim.shared.book", Version: 1, Codec: plain{}}
	sharedFeedRPC = piperpc.RPC[int, change]{Name: "sim.shared.feed", Version: 1, Codec: plain{}}
	tapeRPC       = piperpc.RPC[int, item]{Name: "sim.tape", Version: 1, Codec: plain{}}

	quote1RPC = unaryrpc.RPC[oldQuote, oldAnswer]{Name: "sim.quote", Version: 1, Codec: plain{}}
	quote2RPC = unaryrpc.RPC[query, answer]{Name: "sim.quote", Version: 2, Codec: plain{}}

	quote9RPC = unaryrpc.RPC[query, answer]{Name: "sim.quote", Version: 9, Codec: plain{}} // which nobody serves

	quotes = versioned.New(quote2RPC, versioned.Via(quote1RPC,
		unaryrpc.Convert[oldQuote, oldAnswer, query, answer](
			func(q query) oldQuote { return oldQuote{q.Call, q.Caller} },
			func(a oldAnswer) answer { return answer{Call: a.Of} }),
		unaryrpc.Convert[query, answer, oldQuote, oldAnswer](
			func(q oldQuote) query { return query{Call: q.Call, Caller: q.Caller} },
			func(a answer) oldAnswer { return oldAnswer{a.Call} })))

	nearRPC   = unaryrpc.RPC[query, answer]{Name: "near.get", Version: 1, Codec: plain{}}
	streamRPC = piperpc.RPC[query, item]{Name: "near.list", Version: 1, Codec: plain{}}
)

// apply is what a change does to the book.
func apply(b book, c change) book { return book{b.N + 1, b.Sum*31 + c.By} }

// A responder is a process that serves.
type responder struct {
	world    *world
	name     string
	conn     link
	server   *bus.Server
	source   atomic.Pointer[source]
	requests *requests // nil where they are not seen
	versions []int     // of the family
	leaving  bool      // guarded by the world's changed
}

// serve starts a responder of some versions; one that serves no others is alone
// with the near RPCs.
func (w *world) serve(name string, node int, d delays, versions ...int) *responder {
	r := &responder{world: w, name: name, conn: w.net.dial(name, node, d), versions: versions}
	r.requests = r.conn.simulated().requests()
	handlers := []bus.Handler{nearRPC.Handler(r.answer), streamRPC.Handler(r.list)}
	if len(versions) > 0 {
		r.source.Store(w.source(name, r.conn.simulated()))
		handlers = append(handlers, addRPC.Handler(r.answer), getRPC.Handler(r.answer), tellRPC.Handler(r.tell),
			listRPC.Handler(r.slowList), bookRPC.Handler(r.follow), feedRPC.Handler(r.feed),
			sharedBookRPC.Handler(r.follow).Shared(), sharedFeedRPC.Handler(r.feed).Shared(), tapeRPC.Handler(r.tape).Shared())
	}
	for _, v := range versions {
		for _, h := range quotes.Handlers(r.answer) {
			if h.Version == v {
				handlers = append(handlers, h)
			}
		}
	}
	var err error
	r.server, err = bus.Serve(r.conn.bus(), bus.Service{Name: "sim", AnyConn: true}, handlers...)
	if err != nil {
		w.oracle.broken("I3", "%s does not serve: %v", name, err)
	}
	w.changed.Lock()
	defer w.changed.Unlock()
	w.all = append(w.all, r)
	return r
}

func (r *responder) close() {
	_ = r.server.Close() // of a process that died nothing is expected
	r.world.retire(r.source.Load())
	r.conn.leave()
}

// drain has the process leave. A stopped one does when it goes on.
func (r *responder) drain(ctx context.Context) {
	r.conn.wait(ctx, 0)
	r.world.changed.Lock()
	r.leaving = true
	r.world.changed.Unlock()
	r.world.trace.note(r.name, "drains")
	_ = r.server.Drain(ctx) // its handlers may take longer, and its connection be cut
	r.world.trace.note(r.name, "has drained")
	r.conn.wait(ctx, 0)
	r.close()
}

func (r *responder) answer(ctx context.Context, q query) (answer, error) {
	_, _, done := r.world.oracle.starts(ctx, r, q)
	defer done()
	if !r.conn.wait(ctx, q.Takes) {
		return answer{}, context.Cause(ctx)
	}
	return answer{Call: q.Call, Pad: pad(q.Size)}, nil
}

func (r *responder) tell(ctx context.Context, q query) error {
	_, err := r.answer(ctx, q)
	return err
}

// list is a pipe that begins at once.
func (r *responder) list(ctx context.Context, q query) (iter.Seq2[item, error], error) {
	return r.pipe(ctx, q, 0)
}

// slowList is one that takes its time for that.
func (r *responder) slowList(ctx context.Context, q query) (iter.Seq2[item, error], error) {
	return r.pipe(ctx, q, opening(q.Call))
}

func (r *responder) pipe(ctx context.Context, q query, begins time.Duration) (iter.Seq2[item, error], error) {
	o := r.world.oracle
	run, n, done := o.starts(ctx, r, q)
	if begins > 0 && !r.conn.wait(ctx, begins) {
		done()
		return nil, context.Cause(ctx)
	}
	return func(yield func(item, error) bool) {
		defer done()
		for i := range q.Count {
			if !r.conn.wait(ctx, q.Takes) {
				yield(item{}, context.Cause(ctx))
				return
			}
			o.made(run, false)
			if !yield(item{Call: q.Call, Run: n, N: i + 1, Pad: pad(q.Size)}, nil) {
				return
			}
		}
		if q.Fails {
			yield(item{}, bus.Failed)
			return
		}
		o.made(run, true)
	}, nil
}

// opening is how long the handler takes: mostly none, and else about as long as a
// caller waits for a sign of it.
func opening(call uint64) time.Duration {
	if d := dice(call); d.below(3) == 0 {
		return time.Duration(d.nth(1).below(50)) * time.Millisecond
	}
	return 0
}

func (r *responder) follow(ctx context.Context, _ int) (book, iter.Seq2[change, error], error) {
	return r.source.Load().watch(ctx)
}

func (r *responder) feed(ctx context.Context, _ int) (iter.Seq2[change, error], error) {
	_, changes, err := r.source.Load().watch(ctx)
	return changes, err
}

// wait waits, unless ctx is done first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
