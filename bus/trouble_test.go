// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/unaryrpc"
)

// A notebook keeps what is logged while a test runs.
type notebook struct {
	slog.Handler

	mu    sync.Mutex // guards the field below
	lines []string
}

func keepLog(t *testing.T) *notebook {
	j := &notebook{Handler: slog.DiscardHandler}
	old := slog.Default()
	slog.SetDefault(slog.New(j))
	t.Cleanup(func() { slog.SetDefault(old) })
	return j
}

func (j *notebook) Enabled(context.Context, slog.Level) bool { return true }

func (j *notebook) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value.Resolve())
		return true
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	return nil
}

// about returns the lines that have all of words.
func (j *notebook) about(words ...string) (lines []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTroubleIsLoggedWithTheRPCAndThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := keepLog(t)
		p := newPairing(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		end := p.read(t, ctx)
		p.feed <- 1
		absent(p.near, 100*time.Millisecond)
		p.feed <- 2 // which is lost
		<-end
		synctest.Wait()
		id := p.client.Snapshot().ID
		for _, words := range [][]string{
			{"the connection to the broker was made again", "at=client " + id, "count=1"},
			{"a stream was lost", "at=client " + id, "rpc=feed.v1", "peer=" + p.srv.Instance(), "call=" + id[:8]},
		} {
			if lines := log.about(words...); len(lines) != 1 {
				t.Errorf("%d lines have %q: %q", len(lines), words, log.lines)
			}
		}
	})
}

func TestBusyIsCountedAndLoggedOnBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := keepLog(t)
		net := transport.NewNet(1)
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test", Streams: 1}, largeRPC.Handler(large))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		defer client.Close()
		f := largeRPC.Client(client)
		if _, err := f(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := f(t.Context(), 0); err == nil {
				t.Fatal("a second stream was opened")
			}
		}
		if c, s := client.Snapshot().Counters.Busy, srv.Snapshot().Counters.Busy; c != 100 || s != 100 {
			t.Errorf("the client counts %d, the server %d", c, s)
		}
		synctest.Wait()
		for _, words := range [][]string{
			{"refused as busy", "at=client", "rpc=large.v2", "peer=" + srv.Instance()},
			{"refused as busy", "at=server", "rpc=large.v2", "peer=" + client.Snapshot().ID},
		} {
			if lines := log.about(words...); len(lines) != 1 {
				t.Errorf("%d lines have %q: %q", len(lines), words, log.lines)
			}
		}
	})
}

func TestAHostileResponderHasNoSayInHowMuchIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := keepLog(t)
		net := transport.NewNet(1)
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		defer client.Close()
		h := newHostile(t, net, "_D.c.hostile")
		h.subscribe(t, "bad.v1", func(m transport.Msg) {
			n, _ := wire.Number(m.Data)
			for _, p := range append(streamed(n, data(n, 4, 5)), torn(), packet(1, unknownFrame())) {
				if err := h.conn.Publish(m.Reply, "_D.c.hostile.token.1", p); err != nil {
					t.Error(err)
				}
			}
		})
		call := bus.Call{Description: bus.Description{Name: "bad", Version: 1, Kind: bus.Pipe}}
		for range 1000 {
			r, err := client.Call(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			for range r.Updates {
			}
			synctest.Wait()
		}
		all := client.Snapshot()
		if all.Counters.Lost != 1000 || all.Counters.Dropped < 2000 {
			t.Errorf("counted %+v", all)
		}
		synctest.Wait()
		if n := len(log.about()); n > 5 {
			t.Errorf("%d lines: %q", n, log.lines[:5])
		}
	})
}

// A caller invents names, all of them below the name of a service's Unknown.
func TestACallerWhoInventsNamesHasNoSayInHowMuchIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := keepLog(t)
		net := transport.NewNet(1)
		hold := func(ctx context.Context, _ bus.Call) (bus.Reply, error) { <-ctx.Done(); return bus.Reply{}, ctx.Err() }
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test", Limit: 1, Unknown: bus.Unknown{Under: "any", Call: hold}})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		conn := net.Dial()
		ask := func(n uint64) {
			o := wire.Open{Protocol: 1, Client: fmt.Sprintf("c%d", n), Call: 1, Kind: uint32(bus.Unary)}
			if err := conn.Publish(fmt.Sprintf("any.n%d.v1", n), "_INBOX.nobody.1", packet(1, o.Append(nil))); err != nil {
				t.Fatal(err)
			}
		}
		for n := range uint64(1001) {
			ask(n)
		}
		synctest.Wait()
		if n := srv.Snapshot().Counters.Busy; n != 1000 {
			t.Errorf("%d refused as busy", n)
		}
		synctest.Wait()
		if n := len(log.about()); n > 70 {
			t.Errorf("%d lines in a moment", n)
		}
		elapse(2 * time.Minute)
		ask(2000) // runs
		ask(2001)
		synctest.Wait()
		if n := len(log.about("any.n2001.v1", "count=1001")); n != 1 {
			t.Errorf("%d lines of what is new after two minutes", n)
		}
	})
}

func TestWhatIsRepairedIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 2)
		lose := true
		s.spoil = func(m transport.Msg) []transport.Msg {
			if lose {
				lose = false
				return nil
			}
			return []transport.Msg{m}
		}
		for range 3 {
			s.pub.Publish(1)
			synctest.Wait()
		}
		if _, err := client.Call(ctx, bus.Call{Description: bus.Description{Name: "nobody", Version: 1, Kind: bus.Unary}}); err == nil {
			t.Error("nobody answered")
		}
		want := bus.Counters{Rejoined: 1, Retried: 2}
		if got := client.Snapshot().Counters; got != want {
			t.Errorf("the client counts %+v, want %+v", got, want)
		}
		s.conn.Freeze(true)
		elapse(7 * time.Second)
		if got := client.Snapshot().Counters.Gone; got != 1 {
			t.Errorf("the client counts %d responders gone", got)
		}
		s.conn.Freeze(false)
		elapse(time.Second)
		cancel()
		wait()
		s.close()
	})
}

func TestACallerThatIsGoneIsCountedIfItHadSomethingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		idle := bus.NewClientOn(p.net.Dial(), bus.ClientOptions{})
		defer idle.Close()
		short, cancel := context.WithCancel(t.Context())
		if _, err := feedRPC.Client(idle)(short, 0); err != nil {
			t.Fatal(err)
		}
		end := p.read(t, t.Context())
		cancel()
		elapse(20 * time.Second) // after which the first is forgotten
		p.near.Freeze(true)
		elapse(7 * time.Second)
		if got := p.srv.Snapshot().Counters.Gone; got != 1 {
			t.Errorf("the server counts %d callers gone", got)
		}
		p.near.Freeze(false)
		<-end
	})
}

// Callers may have a handler panic as often as they like.
func TestPanicsAreLoggedWithTheirTracesAFewTimesAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := keepLog(t)
		rpc := unaryrpc.RPC[int, int]{Name: "panics", Version: 1}
		other := unaryrpc.RPC[int, int]{Name: "panics", Version: 2}
		handler := func(_ context.Context, n int) (int, error) { panic(fmt.Sprintf("number %d", n)) }
		net := transport.NewNet(1)
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test"}, rpc.Handler(handler), other.Handler(handler))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		defer client.Close()
		for n := range 100 {
			_, err := rpc.Client(client)(t.Context(), n)
			e, ok := errors.AsType[*bus.Error](err)
			if !ok || e.Code != bus.Panicked || !e.MayHaveRun || strings.Contains(e.Message, e.CallID) != (n < 4) {
				t.Fatalf("call %d: %v, of call %s", n, err, e.CallID)
			}
			if logged := len(j.about("a handler panicked", "number "+strconv.Itoa(n), e.CallID, "trouble_test.go")); logged == 1 != (n < 4) {
				t.Fatalf("call %d is in the log %d times", n, logged)
			}
		}
		_, _ = other.Client(client)(t.Context(), 1000)
		time.Sleep(time.Minute)
		_, _ = rpc.Client(client)(t.Context(), 2000)
		for number, left := range map[string]string{"number 1000": "left_out=0", "number 2000": "left_out=96"} {
			if len(j.about("a handler panicked", number, left)) != 1 {
				t.Errorf("%s with %s is not in the log", number, left)
			}
		}
	})
}

// What answers unknown names gets its names from callers.
func TestPanicsUnderNamesThatCallersMakeUpAreFewInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := keepLog(t)
		net := transport.NewNet(1)
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test", Unknown: bus.Unknown{
			Under: "made.up",
			Call:  func(context.Context, bus.Call) (bus.Reply, error) { panic("made up") },
		}}, echoRPC.Handler(func(_ context.Context, s string) (string, error) { return s, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		defer client.Close()
		for n := range 200 {
			_, err := client.Call(t.Context(), bus.Call{Description: bus.Description{Name: "made.up.n" + strconv.Itoa(n), Version: 1, Kind: bus.Unary}})
			if !errors.Is(err, bus.Panicked) {
				t.Fatal(err)
			}
		}
		if n := len(j.about("a handler panicked")); n != 64 {
			t.Errorf("%d of 200 panics are in the log", n)
		}
	})
}
