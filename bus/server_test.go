// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// A fleet is servers and clients on one simulated network, closed with the test.
type fleet struct {
	t   *testing.T
	net *transport.Net
}

func newFleet(t *testing.T) fleet { return fleet{t, transport.NewNet(1)} }

func (f fleet) serve(svc bus.Service, handlers ...bus.Handler) *bus.Server {
	f.t.Helper()
	srv, err := bus.ServeOn(f.net.Dial(), svc, handlers...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return srv
}

func (f fleet) client(o bus.ClientOptions) *bus.Client {
	c := bus.NewClientOn(f.net.Dial(), o)
	f.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return c
}

// Calls of heldRPC are answered when they are let go, or cancelled.
var (
	heldRPC = unaryrpc.RPC[int, int]{Name: "held", Version: 1}
	tickRPC = piperpc.RPC[int, int]{Name: "tick", Version: 1}
	nameRPC = unaryrpc.RPC[string, string]{Name: "name", Version: 1}
)

func holding(letGo <-chan struct{}) bus.Handler {
	return heldRPC.Handler(func(ctx context.Context, n int) (int, error) {
		select {
		case <-letGo:
			return n, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	})
}

// ticking sends a number each millisecond, for ever.
func ticking() bus.Handler {
	return tickRPC.Handler(func(ctx context.Context, from int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for n := from; ctx.Err() == nil && yield(n, nil); n++ {
				time.Sleep(time.Millisecond)
			}
		}, nil
	})
}

func naming(name string) bus.Handler {
	return nameRPC.Handler(func(context.Context, string) (string, error) { return name, nil })
}

func TestBeyondItsLimitAServerIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		letGo := make(chan struct{})
		f.serve(bus.Service{Limit: 2}, holding(letGo), naming("x"))
		c := f.client(bus.ClientOptions{})
		ended := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := heldRPC.Client(c)(t.Context(), 0)
				ended <- err
			}()
		}
		synctest.Wait()
		start := time.Now()
		if _, err := nameRPC.Client(c)(t.Context(), ""); !errors.Is(err, bus.Busy) || !strings.Contains(err.Error(), "2 calls") {
			t.Errorf("a third call: %v, want Busy", err)
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("it waited %v", d)
		}
		close(letGo)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if got, err := nameRPC.Client(c)(t.Context(), ""); got != "x" || err != nil {
			t.Errorf("with room again: %q, %v", got, err)
		}
	})
}

// A long answer is kept until its caller has taken it, which may be never.
func TestALongAnswerThatIsNotTakenCountsAsACallInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := unaryrpc.RPC[int, []byte]{Name: "long", Version: 1}
		f := newFleet(t)
		srv := f.serve(bus.Service{Limit: 3}, long.Handler(func(context.Context, int) ([]byte, error) { return make([]byte, 1<<20), nil }))
		h := newHostile(t, f.net, "hostile")
		busy := 0
		for call := range uint64(5) {
			o := open(call+1, bus.Unary)
			o.Credit = 0
			if err := h.conn.Publish("long.v1", "hostile.reply", packet(o.Call, o.Append(nil))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for _, m := range h.kept() {
			if e := errorIn(m.Data); e != nil && e.Code == string(bus.Busy) {
				busy++
			}
		}
		if held := srv.Snapshot().Held; held.Calls != 3 || busy != 2 {
			t.Errorf("%d calls are held, %d were refused as busy; want 3 and 2", held.Calls, busy)
		}
		time.Sleep(10 * time.Second) // they say nothing more, and are dead
		if held := srv.Snapshot().Held; held.Calls != 0 {
			t.Errorf("%d calls are held when their callers are dead", held.Calls)
		}
		answers := f.client(bus.ClientOptions{})
		for range 10 {
			if got, err := long.Client(answers)(t.Context(), 0); len(got) != 1<<20 || err != nil {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
	})
}

func TestBeyondItsLimitOfStreamsAServerIsBusyForStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.serve(bus.Service{Streams: 1}, ticking(), naming("x"))
		c := f.client(bus.ClientOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := tickRPC.Client(c)(ctx, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := tickRPC.Client(c)(t.Context(), 0); !errors.Is(err, bus.Busy) || !strings.Contains(err.Error(), "1 streams") {
			t.Errorf("a second stream: %v, want Busy", err)
		}
		if _, err := nameRPC.Client(c)(t.Context(), ""); err != nil {
			t.Error("a call:", err)
		}
		cancel()
		time.Sleep(10 * time.Millisecond)
		if _, err := tickRPC.Client(c)(t.Context(), 0); err != nil {
			t.Error("a stream when the first has ended:", err)
		}
	})
}

func TestWhatIsWrongIsRefusedBeforeAnythingIsSubscribed(t *testing.T) {
	call := func(context.Context, bus.Call) (bus.Reply, error) { return bus.Reply{}, nil }
	handler := func(name string, version int) bus.Handler {
		return bus.Handler{Description: bus.Description{Name: name, Version: version, Kind: bus.Unary}, Call: call}
	}
	pipe := handler("twice", 1)
	pipe.Kind = bus.Pipe
	failing := handler("defined.wrongly", 1)
	failing.Err = errors.New("two members of one version")
	for _, c := range []struct {
		name     string
		svc      bus.Service
		handlers []bus.Handler
		says     string
	}{
		{"the same version twice", bus.Service{}, []bus.Handler{handler("twice", 1), handler("twice", 1)}, "twice.v1"},
		{"the same version as two kinds", bus.Service{}, []bus.Handler{handler("twice", 1), pipe}, "two handlers for one version"},
		{"the menu's name", bus.Service{}, []bus.Handler{handler("durabus.menu", 1)}, "two handlers for one version"},
		{"a nil handler", bus.Service{}, []bus.Handler{nameRPC.Handler(nil)}, "nil handler"},
		{"no handler at all", bus.Service{}, []bus.Handler{{}}, "empty"},
		{"a name with a space", bus.Service{}, []bus.Handler{handler("a b", 1)}, `' '`},
		{"a name with a wildcard", bus.Service{}, []bus.Handler{handler("a.*", 1)}, `'*'`},
		{"a name with an umlaut", bus.Service{}, []bus.Handler{handler("größe", 1)}, `'ö'`},
		{"a name with an empty token", bus.Service{}, []bus.Handler{handler("a..b", 1)}, "an empty token"},
		{"a name among our own subjects", bus.Service{}, []bus.Handler{handler("_D.c.x", 1)}, "it begins with _D"},
		{"a name that is too long", bus.Service{}, []bus.Handler{handler(strings.Repeat("x", 129), 1)}, "129 bytes long, at most 128"},
		{"version 0", bus.Service{}, []bus.Handler{handler("a", 0)}, "versions count from 1"},
		{"no kind", bus.Service{}, []bus.Handler{{Description: bus.Description{Name: "a", Version: 1}, Call: call}}, "kind 0"},
		{"a definition's error", bus.Service{}, []bus.Handler{failing}, "two members of one version"},
		{"a prefix that is none", bus.Service{Prefix: "a."}, nil, `prefix "a."`},
		{"a service name that is none", bus.Service{Name: "a.b"}, nil, `"a.b"`},
		{"a version that is none", bus.Service{Version: "one"}, nil, `"one"`},
		{"a negative limit", bus.Service{Limit: -1}, nil, "must not be negative"},
		{"a negative limit of streams", bus.Service{Streams: -1}, nil, "must not be negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := transport.NewNet(1).Dial()
			srv, err := bus.ServeOn(conn, c.svc, append([]bus.Handler{naming("x")}, c.handlers...)...)
			if err == nil || srv != nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error that says %q", err, c.says)
			}
			if n := conn.Subscriptions(); n != 0 {
				t.Errorf("%d subscriptions were made", n)
			}
		})
	}
}

func TestEachInstanceCanBeCalledByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		one, two := f.serve(bus.Service{}, naming("one")), f.serve(bus.Service{}, naming("two"))
		c := f.client(bus.ClientOptions{})
		for range 20 {
			for srv, want := range map[*bus.Server]string{one: "one", two: "two"} {
				var info bus.Info
				got, err := nameRPC.Client(c.WithInstance(srv.Instance()))(bus.WithInfo(t.Context(), &info), "")
				if got != want || err != nil || info.Instance != srv.Instance() {
					t.Errorf("%q of %s, %v; want %q of %s", got, info.Instance, err, want, srv.Instance())
				}
			}
		}
		all, err := c.Instances(t.Context())
		if want := []string{one.Instance(), two.Instance()}; err != nil || len(all) != 2 || !slices.Contains(all, want[0]) || !slices.Contains(all, want[1]) {
			t.Errorf("instances %v, %v; want %v", all, err, want)
		}
		_, err = heldRPC.Client(c.WithInstance(one.Instance()))(t.Context(), 0)
		if !errors.Is(err, bus.NoResponder) {
			t.Errorf("what it does not serve: %v, want NoResponder", err)
		}
		id := one.Instance()
		if err := one.Close(); err != nil {
			t.Error(err)
		}
		_, err = nameRPC.Client(c.WithInstance(id))(t.Context(), "")
		if !errors.Is(err, bus.NoResponder) || !strings.Contains(err.Error(), id) {
			t.Errorf("an instance that is gone: %v, want NoResponder", err)
		}
	})
}

func TestPrefixesAreWorldsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.serve(bus.Service{Prefix: "a"}, naming("a"))
		f.serve(bus.Service{Prefix: "b.c"}, naming("b.c"), ticking())
		c := f.client(bus.ClientOptions{Prefix: "a"})
		for range 20 {
			for _, prefix := range []string{"a", "b.c"} {
				if got, err := nameRPC.Client(c.WithPrefix(prefix))(t.Context(), ""); got != prefix || err != nil {
					t.Errorf("%q, %v; want %q", got, err, prefix)
				}
			}
		}
		for _, prefix := range []string{"", "b", "c"} {
			if _, err := nameRPC.Client(c.WithPrefix(prefix))(t.Context(), ""); !errors.Is(err, bus.NoResponder) {
				t.Errorf("prefix %q: %v, want NoResponder", prefix, err)
			}
		}
		if _, err := tickRPC.Client(c)(t.Context(), 0); !errors.Is(err, bus.NoResponder) {
			t.Errorf("what another prefix serves: %v, want NoResponder", err)
		}
		if _, err := nameRPC.Client(c.WithPrefix("a..b"))(t.Context(), ""); !errors.Is(err, bus.Invalid) {
			t.Errorf("a prefix that is none: %v, want Invalid", err)
		}
		if _, err := nameRPC.Client(c.WithInstance("a.b"))(t.Context(), ""); !errors.Is(err, bus.Invalid) {
			t.Errorf("an instance that is none: %v, want Invalid", err)
		}
	})
}

func TestCloseCancelsWhatIsInProgressAndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var returned atomic.Bool
		slow := heldRPC.Handler(func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // tidying up
			returned.Store(true)
			return 0, context.Cause(ctx)
		})
		srv := f.serve(bus.Service{}, slow, ticking())
		c := f.client(bus.ClientOptions{})
		called, streamed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := heldRPC.Client(c)(t.Context(), 0)
			called <- err
		}()
		go func() { streamed <- readTicks(t.Context(), c, 0) }()
		time.Sleep(time.Second)
		second := make(chan bool, 1)
		go func() {
			time.Sleep(time.Second)
			_ = srv.Close()
			second <- returned.Load()
		}()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if !returned.Load() {
			t.Error("Close returned before the handler")
		}
		if !<-second {
			t.Error("a second Close returned before the handler")
		}
		if err := <-called; !errors.Is(err, bus.Draining) {
			t.Errorf("the call: %v, want Draining", err)
		}
		if err := <-streamed; !errors.Is(err, bus.Draining) {
			t.Errorf("the stream: %v, want Draining", err)
		}
	})
}

// readTicks reads a stream to its error. The numbers must be without a gap.
func readTicks(ctx context.Context, c bus.Caller, from int) error {
	updates, err := tickRPC.Client(c)(ctx, from)
	if err != nil {
		return err
	}
	next := from
	for n, err := range updates {
		if err != nil {
			return err
		}
		if n != next {
			return errors.New("a gap")
		}
		next++
	}
	return errors.New("the stream came to a good end")
}

func TestAStreamOfTheGreatestAgeIsSentElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := piperpc.RPC[int, int]{Name: "hold", Version: 1}
		net := transport.NewNet(1)
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test", MaxStreamAge: time.Hour}, hold.Handler(
			func(ctx context.Context, _ int) (iter.Seq2[int, error], error) {
				return func(yield func(int, error) bool) { <-ctx.Done() }, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		began := time.Now()
		updates, err := hold.Client(client)(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, err = range updates {
			if !errors.Is(err, bus.Draining) {
				t.Errorf("the stream ended with %v", err)
			}
		}
		if age := time.Since(began); err == nil || age < 45*time.Minute || age > time.Hour {
			t.Errorf("it ended after %v with %v", age, err)
		}
		client.Close()
		srv.Close()
	})
}

func TestAReaderThatTakesNothingIsGivenUp(t *testing.T) {
	t.Run("of small updates", func(t *testing.T) { stalls(t, 1000, 200) })
	t.Run("of updates that each fill a message", func(t *testing.T) { stalls(t, 60_000, 4) })
}

// stalls has updates of size sent to a reader who takes them too late, but gets
// at least so many of them.
func stalls(t *testing.T, size, least int) {
	synctest.Test(t, func(t *testing.T) {
		flood := piperpc.RPC[int, []byte]{Name: "flood", Version: 1}
		net := transport.NewNet(1)
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test", MaxStall: 10 * time.Second}, flood.Handler(
			func(ctx context.Context, _ int) (iter.Seq2[[]byte, error], error) {
				return func(yield func([]byte, error) bool) {
					for yield(make([]byte, size), nil) {
					}
				}, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		updates, err := flood.Client(client)(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		n, last := 0, error(nil)
		for _, last = range updates {
			if n++; n > 10*least {
				break
			}
		}
		if n < least || !errors.Is(last, bus.Stalled) {
			t.Errorf("%d updates, then %v", n, last)
		}
		client.Close()
		srv.Close()
	})
}
