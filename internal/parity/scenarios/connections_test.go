// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"weak"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/menu"
)

func TestIdentification(t *testing.T) {
	run(t, []scenario{
		{"S163 each side reads the name that the other gave", func(t *testing.T, d dial) {
			saw(t, "names", named(t, d, "responder", "caller"), "caller, responder")
		}},
		{"S164 of a side that gave no name the other reads none", func(t *testing.T, d dial) {
			saw(t, "names", named(t, d, "", "caller"), "caller, ")
			saw(t, "names", named(t, d, "responder", ""), ", responder")
		}},
		{"S175 names that are as expected let a call pass", func(t *testing.T, d dial) {
			saw(t, "answer", expecting(t, d, "responder"), "5 after 1 run")
		}},
		{"S176 a responder without a name fails its caller, and has run", func(t *testing.T, d dial) {
			saw(t, "answer", expecting(t, d, ""), string(bus.Unauthorized)+" after 1 run")
		}},
		{"S178 a responder of another name fails its caller", func(t *testing.T, d dial) {
			saw(t, "answer", expecting(t, d, "impostor"), string(bus.Unauthorized)+" after 1 run")
		}},
	})
}

// giving is middleware of a responder that gives its name, if it has one.
func giving(name string) bus.Middleware {
	return func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			if name != "" {
				bus.IncomingCall(ctx).Reply["name"] = name
			}
			return next(ctx, c)
		}
	}
}

// named returns the names that each side reads of the other.
func named(t *testing.T, d dial, responder, caller string) string {
	var read string
	c := d(t, number.Handler(func(ctx context.Context, n int) (int, error) {
		read = bus.IncomingCall(ctx).Metadata["name"]
		return n, nil
	}).With(giving(responder)))
	if caller != "" {
		c = bus.Wrap(c, adding("name", caller))
	}
	var info bus.Info
	saw(t, "answer", outcome(number.Client(c)(bus.WithInfo(within(t), &info), 5)), "5")
	return read + ", " + info.Metadata["name"]
}

// expecting calls a responder that gives a name and expects "responder".
func expecting(t *testing.T, d dial, name string) string {
	runs := 0
	c := d(t, number.Handler(func(_ context.Context, n int) (int, error) { runs++; return n, nil }).With(giving(name)))
	c = bus.Wrap(c, func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			r, err := next(ctx, c)
			if err == nil && r.Metadata["name"] != "responder" {
				return bus.Reply{}, &bus.Error{Code: bus.Unauthorized, RPC: c.Description, MayHaveRun: true, Message: "not the responder that was expected"}
			}
			return r, err
		}
	})
	got := outcome(number.Client(c)(within(t), 5))
	saw(t, "runs", runs, 1)
	return got + " after 1 run"
}

func TestConnections(t *testing.T) {
	srv := broker.Run(t, broker.Options{})
	for _, s := range []struct {
		name string
		run  func(*testing.T, *broker.Server)
	}{
		{"S020 a thousand calls leave nothing behind", thousandCalls},
		{"S170 what is no broker is an error of calls and no panic", noBroker},
		{"S174 a connection that goes before the first menu is an error of each call", goneBeforeMenu},
		{"S173 a responder that refuses to tell its menu is named, with its reason", menuRefused},
		{"S195 the open call of a plain NATS client is waited for like any other", plainCallInADrain},
		{"S204 a responder of plain NATS is on no menu", plainResponder},
		{"S199 a client that was closed is collected", clientCollected},
		{"S205 a menu that nobody serves is an error", noMenu},
		{"S279 a stream is attempted and connected, and lost when its client closes", attemptedAndLost},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, srv) })
	}
}

func thousandCalls(t *testing.T, srv *broker.Server) {
	c := serving(t, srv.URL(), bus.Service{Name: "s", Prefix: "thousand"}, number.Handler(echo))
	f, ctx := number.Client(c), within(t)
	calls := func() (objects uint64, goroutines int) {
		for n := range 1000 {
			if got, err := f(ctx, n); got != n || err != nil {
				t.Fatal(got, err)
			}
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what has a finalizer
		runtime.ReadMemStats(&m)
		return m.HeapObjects, runtime.NumGoroutine()
	}
	calls()
	subscriptions := srv.Subscriptions()
	const rounds = 3 // of which the least counts: what is in the air comes and goes
	least := func() (objects uint64, goroutines int) {
		objects, goroutines = calls()
		for range rounds - 1 {
			o, g := calls()
			objects, goroutines = min(objects, o), min(goroutines, g)
		}
		return objects, goroutines
	}
	before, goroutines := least()
	after, now := least()
	if growth := int64(after) - int64(before); growth > rounds*1000/2 {
		t.Errorf("%d objects more after %d calls", growth, rounds*1000)
	}
	if now > goroutines+rounds {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
	saw(t, "subscriptions", srv.Subscriptions(), subscriptions)
}

func noBroker(t *testing.T, _ *broker.Server) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talkers sync.WaitGroup
	talkers.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
			_ = conn.Close()
		}
	})
	defer talkers.Wait()
	defer l.Close()
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	nc, err := bus.Connect("nats://"+l.Addr().String(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := bus.NewClient(nc, bus.ClientOptions{})
	defer closed(t, c)
	_, err = number.Client(c)(within(t), 1)
	failed(t, err, bus.Disconnected)
}

func goneBeforeMenu(t *testing.T, srv *broker.Server) {
	proxy := broker.RunProxy(t, srv.URL())
	c := serving(t, proxy.URL(), bus.Service{Name: "s", Prefix: "gone"}, number.Handler(echo), tagging(1))
	proxy.Close()
	for _, call := range []func() error{
		func() error { _, err := number.Client(c)(within(t), 1); return err },
		func() error { _, err := family(3, 2, 1).Client(c)(within(t), "q"); return err },
		func() error { _, err := menu.Fetch(within(t), c); return err },
	} {
		failed(t, call(), bus.Disconnected)
	}
}

func clientCollected(t *testing.T, srv *broker.Server) {
	nc := connected(t, srv.URL())
	p := func() weak.Pointer[bus.Client] {
		c := bus.NewClient(nc, bus.ClientOptions{})
		_, err := number.Client(c)(within(t), 1)
		failed(t, err, bus.NoResponder)
		closed(t, c)
		return weak.Make(c)
	}()
	for range 10 {
		runtime.GC()
	}
	if p.Value() != nil {
		t.Error("it is still there")
	}
}

func noMenu(t *testing.T, srv *broker.Server) {
	c := bus.NewClient(connected(t, srv.URL()), bus.ClientOptions{Prefix: "nobody"})
	defer closed(t, c)
	_, err := menu.Fetch(within(t), c)
	failed(t, err, bus.NoResponder, "durabus.menu")
}

func attemptedAndLost(t *testing.T, srv *broker.Server) {
	c := serving(t, srv.URL(), bus.Service{Name: "s", Prefix: "attempted"}, number.Handler(echo),
		state.Handler(func(ctx context.Context, n int) (int, iter.Seq2[int, error], error) {
			return n, func(func(int, error) bool) { <-ctx.Done() }, nil
		}))
	closedByUs := func(err error) bool { return errors.Is(err, bus.Canceled) }
	var kinds []string
	for ev := range durable.State(within(t), state.Client(c), 7, durable.Policy{Final: closedByUs}) {
		if kinds = append(kinds, ev.Kind.String()); ev.Kind == durable.Snapshot {
			works(t, c)
			closed(t, c)
		}
	}
	saw(t, "events", strings.Join(kinds, " "), "Attempting Connected Snapshot Lost")
}

func menuRefused(t *testing.T, srv *broker.Server) {
	c := serving(t, srv.URL(), bus.Service{Name: "s", Prefix: "refused", Middleware: []bus.Middleware{func(bus.CallFunc) bus.CallFunc {
		return func(context.Context, bus.Call) (bus.Reply, error) {
			return bus.Reply{}, &bus.Error{Code: bus.Unauthorized, Message: "closed on Sundays"}
		}
	}}}, number.Handler(echo))
	instances, err := c.Instances(within(t))
	if err != nil || len(instances) != 1 {
		t.Fatal(instances, err)
	}
	_, err = menu.Fetch(within(t), c)
	failed(t, err, bus.Unauthorized, instances[0], "closed on Sundays")
}

func plainCallInADrain(t *testing.T, srv *broker.Server) {
	began, letGo := make(chan bool, 1), make(chan bool)
	s, err := bus.Serve(connected(t, srv.URL()), bus.Service{Name: "s", Prefix: "plain"}, number.Handler(func(_ context.Context, n int) (int, error) {
		began <- true
		<-letGo
		return n, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	nc := connected(t, srv.URL())
	answers := make(chan string, 1)
	go func() {
		m := nats.NewMsg("plain.s.number.v1")
		m.Header.Set("Content-Type", bus.ContentTypeJSON)
		m.Data = []byte("5")
		m, err := nc.RequestMsgWithContext(within(t), m)
		if err != nil {
			t.Error(err)
			m = &nats.Msg{}
		}
		answers <- string(m.Data)
	}()
	await(t, "the call", began)
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(within(t)) }()
	c := bus.NewClient(nc, bus.ClientOptions{Prefix: "plain"})
	defer closed(t, c)
	eventually(t, "responders on the menu", func() int {
		instances, err := c.Instances(within(t))
		if err != nil {
			t.Fatal(err)
		}
		return len(instances)
	}, 0)
	saw(t, "drains that are over", len(drained), 0)
	close(letGo)
	saw(t, "the answer", await(t, "an answer", answers), "5")
	saw(t, "the drain", await(t, "the drain", drained), nil)
}

func plainResponder(t *testing.T, srv *broker.Server) {
	nc := connected(t, srv.URL())
	if _, err := nc.Subscribe("old.s.tag.v1", func(m *nats.Msg) { _ = m.Respond([]byte(`"q"`)) }); err != nil {
		t.Fatal(err)
	}
	c := serving(t, srv.URL(), bus.Service{Name: "s", Prefix: "old"}, number.Handler(echo))
	m, err := menu.Fetch(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	saw(t, "names", m.Names(), "[durabus.menu s.number]")
	_, err = family(3, 2, 1).Client(c)(within(t), "q")
	failed(t, err, bus.NoResponder, "s.tag")
}
