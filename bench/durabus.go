// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"iter"
	"math"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bench/benchpb"
	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// durabus is this repository's module, with its defaults.
type durabus struct {
	convert bool // through a conversion on both sides
	durable bool // read as durable events
}

type value = *benchpb.Value

var (
	echoRPC     = unaryrpc.RPC[value, value]{Name: "bench.echo", Version: 1}
	pipeRPC     = piperpc.RPC[*benchpb.Ask, value]{Name: "bench.pipe", Version: 1, Idempotent: true}
	bytesRPC    = piperpc.RPC[*benchpb.Ask, []byte]{Name: "bench.bytes", Version: 1, Idempotent: true}
	feedRPC     = staterpc.RPC[*benchpb.Ask, value, value]{Name: "bench.feed", Version: 1}
	snapshotRPC = staterpc.RPC[*benchpb.Ask, []byte, []byte]{Name: "bench.snapshot", Version: 1}
)

// serveHandlers serves until the process ends.
func serveHandlers(at place, handlers ...bus.Handler) error {
	nc, err := connect(at)
	if err != nil {
		return err
	}
	_, err = bus.Serve(nc, bus.Service{}, handlers...)
	return err
}

func dialBus(at place) (*bus.Client, error) {
	nc, err := connect(at)
	if err != nil {
		return nil, err
	}
	return bus.NewClient(nc, bus.ClientOptions{}), nil
}

func (durabus) serveUnary(at place) (place, error) {
	return at, serveHandlers(at, echoRPC.Handler(func(_ context.Context, v value) (value, error) { return v, nil }))
}

func (durabus) dialUnary(at place) (unaryCall, error) {
	c, err := dialBus(at)
	return unaryCall(echoRPC.Client(c)), err
}

// A wrapped is what conversions turn values into and back.
type wrapped struct{ v value }

func wrap(v value) wrapped                { return wrapped{v} }
func unwrap(w wrapped) value              { return w.v }
func sameAsk(a *benchpb.Ask) *benchpb.Ask { return a }

func (d durabus) serveStream(at place) (place, error) {
	serve := piperpc.Func[*benchpb.Ask, value](func(ctx context.Context, ask *benchpb.Ask) (iter.Seq2[value, error], error) {
		return func(yield func(value, error) bool) {
			for v := range values(ctx, ask) {
				if !yield(v, nil) {
					return
				}
			}
		}, nil
	})
	if d.convert {
		serve = piperpc.Convert(sameAsk, unwrap)(piperpc.Convert(sameAsk, wrap)(serve))
	}
	return at, serveHandlers(at, pipeRPC.Handler(serve))
}

func (d durabus) dialStream(at place, conns int) (streamCall, error) {
	clients, err := dialAll(conns, func() (*bus.Client, error) { return dialBus(at) })
	if err != nil {
		return nil, err
	}
	open := pipeRPC.Client(clients[0])
	if d.durable && d.convert {
		return readDurable(piperpc.Convert(sameAsk, wrap)(open), unwrap), nil
	}
	if d.durable {
		return readDurable(open, func(v value) value { return v }), nil
	}
	if d.convert {
		converted := piperpc.Convert(sameAsk, wrap)(open)
		return readUpdates(converted, func(w wrapped) []byte { return w.v.Data }), nil
	}
	return readUpdates(open, func(v value) []byte { return v.Data }), nil
}

func readUpdates[U any](open piperpc.Func[*benchpb.Ask, U], data func(U) []byte) streamCall {
	return func(ctx context.Context, ask *benchpb.Ask, got func([]byte)) error {
		updates, err := open(ctx, ask)
		if err != nil {
			return err
		}
		for u, err := range updates {
			if err != nil {
				return err
			}
			got(data(u))
		}
		return nil
	}
}

func readDurable[U any](open piperpc.Func[*benchpb.Ask, U], plain func(U) value) streamCall {
	return func(ctx context.Context, ask *benchpb.Ask, got func([]byte)) error {
		final := func(error) bool { return true }
		for ev := range durable.Pipe(ctx, open, ask, durable.Policy{Final: final}) {
			switch {
			case ev.Kind == durable.Update:
				got(plain(ev.Update).Data)
			case ev.Err != nil && ev.Err != durable.ErrEnded:
				return ev.Err
			}
		}
		return nil
	}
}

// durabusBytes has values that are bytes as they are.
type durabusBytes struct{}

func (durabusBytes) serveStream(at place) (place, error) {
	return at, serveHandlers(at, bytesRPC.Handler(func(ctx context.Context, ask *benchpb.Ask) (iter.Seq2[[]byte, error], error) {
		return func(yield func([]byte, error) bool) {
			for v := range values(ctx, ask) {
				if !yield(v.Data, nil) {
					return
				}
			}
		}, nil
	}))
}

func (durabusBytes) dialStream(at place, _ int) (streamCall, error) {
	c, err := dialBus(at)
	return readUpdates(bytesRPC.Client(c), func(data []byte) []byte { return data }), err
}

// last is the state of a feed whose state is the last update.
func last(_, u value) value { return u }

// backlog lets no watcher of a measurement lag: no more updates are on their way
// than the window of the workload has.
const backlog = 1 << 13

func newPublisher(size int) *staterpc.Publisher[value, value] {
	return staterpc.NewPublisher(&benchpb.Value{Data: make([]byte, size)}, last, backlog)
}

// servePublisher serves what p publishes as a shared feed: nobody's depends on who
// asks.
func servePublisher(at place, p *staterpc.Publisher[value, value]) error {
	return serveHandlers(at, feedRPC.Handler(func(ctx context.Context, _ *benchpb.Ask) (value, iter.Seq2[value, error], error) {
		return p.Watch(ctx)
	}).Shared())
}

func (durabus) serveFanout(at place) (place, func(*benchpb.Value), error) {
	p := newPublisher(16)
	return at, p.Publish, servePublisher(at, p)
}

func (durabus) dialFanout(at place, conns int) (watchCall, error) {
	clients, err := dialAll(conns, func() (*bus.Client, error) { return dialBus(at) })
	return func(ctx context.Context, conn int, got func([]byte)) error {
		_, updates, err := feedRPC.Client(clients[conn])(ctx, &benchpb.Ask{})
		if err != nil {
			return err
		}
		for u, err := range updates {
			if err != nil {
				return err
			}
			got(u.Data)
		}
		return nil
	}, err
}

func (durabus) serveSnapshot(at place, size int) (place, error) {
	state := make([]byte, size)
	return at, serveHandlers(at, snapshotRPC.Handler(func(context.Context, *benchpb.Ask) ([]byte, iter.Seq2[[]byte, error], error) {
		return state, nil, nil
	}))
}

func (durabus) dialSnapshot(at place) (func(context.Context) ([]byte, error), error) {
	c, err := dialBus(at)
	return func(ctx context.Context) ([]byte, error) {
		state, _, err := snapshotRPC.Client(c)(ctx, &benchpb.Ask{})
		return state, err
	}, err
}

// silence is a stream on which nothing happens. Its handler blocks.
func silence(ctx context.Context, _ *benchpb.Ask) (iter.Seq2[value, error], error) {
	return func(func(value, error) bool) { <-ctx.Done() }, nil
}

func (durabus) serveIdle(at place) (place, error) {
	return at, serveHandlers(at, pipeRPC.Handler(silence))
}

func (durabus) dialIdle(at place, conns int) (func(int) (any, error), error) {
	clients, err := dialAll(conns, func() (*bus.Client, error) { return dialBus(at) })
	return func(conn int) (any, error) {
		return pipeRPC.Client(clients[conn])(context.Background(), &benchpb.Ask{Count: math.MaxInt64})
	}, err
}

// durabusPublisher keeps idle streams of a Publisher, without handlers of their
// own that wait.
type durabusPublisher struct{}

func (durabusPublisher) serveIdle(at place) (place, error) {
	return at, servePublisher(at, newPublisher(16))
}

func (durabusPublisher) dialIdle(at place, conns int) (func(int) (any, error), error) {
	clients, err := dialAll(conns, func() (*bus.Client, error) { return dialBus(at) })
	return func(conn int) (any, error) {
		_, updates, err := feedRPC.Client(clients[conn])(context.Background(), &benchpb.Ask{})
		return updates, err
	}, err
}

func (durabus) serveRecovery(at place, l load) error {
	state := &benchpb.Value{Data: make([]byte, l.Size)}
	p := staterpc.NewPublisher(state, func(s, _ value) value { return s }, backlog)
	update := &benchpb.Value{Data: make([]byte, 16)}
	go every(l.Gap, func() { p.Publish(update) })
	return servePublisher(at, p)
}

func (durabus) dialRecovery(at place, states int, tried func(), newFollower func() follower) error {
	nc, err := connect(at, nats.SetCustomDialer(countingDialer{tried}))
	if err != nil {
		return err
	}
	open := feedRPC.Client(bus.NewClient(nc, bus.ClientOptions{}))
	for range states {
		follow := newFollower()
		go func() {
			lost := false
			for ev := range durable.State(context.Background(), open, &benchpb.Ask{}, durable.Policy{}) {
				switch ev.Kind {
				case durable.Lost:
					lost = true
				case durable.Snapshot, durable.Update:
					follow(lost)
					lost = false
				}
			}
		}()
	}
	return nil
}
