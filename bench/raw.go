// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/durabus/durabus/bench/benchpb"
	"github.com/durabus/durabus/bus"
)

// raw is nats.go as one uses it: a message for each value, handlers in the
// callback of the subscription, and nothing that holds a sender back. What it
// receives has room without limit, or it would lose what it cannot keep up with.
type raw struct {
	stock bool // with the reconnect options that nats.go has by default
}

func (r raw) connect(at place, more ...nats.Option) (*nats.Conn, error) {
	if r.stock {
		return nats.Connect(at.Broker, append(more, nats.MaxReconnects(-1), silent)...)
	}
	return connect(at, more...)
}

// connect is for all systems that speak through NATS.
func connect(at place, more ...nats.Option) (*nats.Conn, error) {
	return bus.Connect(at.Broker, append(more, silent)...)
}

// silent keeps nats.go from printing that brokers die, as they are meant to.
var silent = nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})

// subscribe returns when the broker knows the subscription.
func subscribe(nc *nats.Conn, subject string, f nats.MsgHandler) (*nats.Subscription, error) {
	sub, err := nc.Subscribe(subject, f)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = nc.FlushTimeout(patience)
	}
	return sub, err
}

func (r raw) serveUnary(at place) (place, error) {
	nc, err := r.connect(at)
	if err != nil {
		return at, err
	}
	_, err = subscribe(nc, "bench.echo", func(m *nats.Msg) {
		if answer, err := echoed(m.Data); err == nil {
			_ = m.Respond(answer) // the caller sees what fails
		}
	})
	return at, err
}

// echoed decodes and encodes, as every other system does.
func echoed(data []byte) ([]byte, error) {
	v := new(benchpb.Value)
	if err := proto.Unmarshal(data, v); err != nil {
		return nil, err
	}
	return proto.Marshal(v)
}

func (r raw) dialUnary(at place) (unaryCall, error) {
	nc, err := r.connect(at)
	return requester(nc, "bench.echo"), err
}

func requester(nc *nats.Conn, subject string) unaryCall {
	return func(ctx context.Context, v *benchpb.Value) (*benchpb.Value, error) {
		query, err := proto.Marshal(v)
		if err != nil {
			return nil, err
		}
		m, err := nc.RequestWithContext(ctx, subject, query)
		if err != nil {
			return nil, err
		}
		answer := new(benchpb.Value)
		return answer, proto.Unmarshal(m.Data, answer)
	}
}

func (r raw) serveStream(at place) (place, error) {
	return at, serveRaw(at, func(nc *nats.Conn, ask *benchpb.Ask, reply string) error {
		var buf []byte
		var err error
		for v := range values(context.Background(), ask) {
			if buf, err = (proto.MarshalOptions{}).MarshalAppend(buf[:0], v); err != nil {
				return err
			}
			if err = nc.Publish(reply, buf); err != nil {
				return err
			}
		}
		return nil
	})
}

// serveRaw answers each request with what send publishes, and an empty message.
func serveRaw(at place, send func(nc *nats.Conn, ask *benchpb.Ask, reply string) error) error {
	nc, err := connect(at)
	if err != nil {
		return err
	}
	_, err = subscribe(nc, "bench.pipe", func(m *nats.Msg) {
		ask := new(benchpb.Ask)
		if proto.Unmarshal(m.Data, ask) != nil {
			return
		}
		go func() {
			if send(nc, ask, m.Reply) == nil {
				_ = nc.Publish(m.Reply, nil) // the reader sees what is missing
			}
		}()
	})
	return err
}

func (r raw) dialStream(at place, _ int) (streamCall, error) {
	return dialRaw(at, func(data []byte, got func([]byte)) error {
		v := new(benchpb.Value)
		err := proto.Unmarshal(data, v)
		got(v.Data)
		return err
	})
}

// dialRaw returns a call whose messages unpack hands to got.
func dialRaw(at place, unpack func(data []byte, got func([]byte)) error) (streamCall, error) {
	nc, err := connect(at)
	return func(ctx context.Context, ask *benchpb.Ask, got func([]byte)) error {
		query, err := proto.Marshal(ask)
		if err != nil {
			return err
		}
		ended := make(chan error, 1)
		inbox := nc.NewInbox()
		sub, err := nc.Subscribe(inbox, func(m *nats.Msg) {
			if len(m.Data) == 0 {
				ended <- nil
			} else if err := unpack(m.Data, got); err != nil {
				ended <- err
			}
		})
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }()
		if err := sub.SetPendingLimits(-1, -1); err != nil {
			return err
		}
		if err := nc.PublishRequest("bench.pipe", inbox, query); err != nil {
			return err
		}
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, err
}

func (r raw) serveFanout(at place) (place, func(*benchpb.Value), error) {
	nc, err := r.connect(at)
	var buf []byte
	return at, func(v *benchpb.Value) {
		buf, _ = (proto.MarshalOptions{}).MarshalAppend(buf[:0], v) // watchers miss what fails
		_ = nc.Publish("bench.feed", buf)
	}, err
}

func (r raw) dialFanout(at place, conns int) (watchCall, error) {
	all, err := dialAll(conns, func() (*nats.Conn, error) { return r.connect(at) })
	return func(ctx context.Context, conn int, got func([]byte)) error {
		sub, err := all[conn].Subscribe("bench.feed", func(m *nats.Msg) {
			v := new(benchpb.Value)
			if proto.Unmarshal(m.Data, v) == nil {
				got(v.Data)
			}
		})
		if err != nil {
			return err
		}
		if err := sub.SetPendingLimits(-1, -1); err != nil {
			return err
		}
		<-ctx.Done()
		return sub.Unsubscribe()
	}, err
}

// pieceSize is how durabus cuts up long values: raw messages have the same size.
const pieceSize = 31 << 10

func (r raw) serveSnapshot(at place, size int) (place, error) {
	state := make([]byte, size)
	return at, serveRaw(at, func(nc *nats.Conn, _ *benchpb.Ask, reply string) error {
		for rest := state; len(rest) > 0; rest = rest[min(pieceSize, len(rest)):] {
			if err := nc.Publish(reply, rest[:min(pieceSize, len(rest))]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r raw) dialSnapshot(at place) (func(context.Context) ([]byte, error), error) {
	call, err := dialRaw(at, func(data []byte, got func([]byte)) error { got(data); return nil })
	return func(ctx context.Context) ([]byte, error) {
		state := make([]byte, 0, snapshotSize)
		err := call(ctx, &benchpb.Ask{}, func(piece []byte) { state = append(state, piece...) })
		return state, err
	}, err
}

func (r raw) serveRecovery(at place, l load) error {
	nc, err := r.connect(at)
	if err != nil {
		return err
	}
	update := make([]byte, 16)
	go every(l.Gap, func() { _ = nc.Publish("bench.feed", update) }) // fails during the outage
	return nil
}

// dialRecovery has one subscription, whatever the number of states: raw NATS has
// no states.
func (r raw) dialRecovery(at place, _ int, tried func(), newFollower func() follower) error {
	nc, err := r.connect(at, nats.SetCustomDialer(countingDialer{tried}))
	if err != nil {
		return err
	}
	follow := newFollower()
	var connected uint64
	_, err = subscribe(nc, "bench.feed", func(*nats.Msg) {
		before := connected
		connected = nc.Stats().Reconnects
		follow(connected > before)
	})
	return err
}
