// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/staterpc"
)

// A fuzzed hostile peer does what a script says, beside a stream and a call that
// must not notice. Whatever it does, nobody panics, every call ends with its
// context, and nothing is left running when the engine is closed.

// fuzzScripts are beginnings: each kind of frame by itself, and all after another.
func fuzzScripts(f *testing.F) {
	var all []byte
	for kind := range byte(18) {
		one := []byte{0, 0, kind, 0, 1, 1, 0, 1, 1, 0, 2, 3, 1, 2, '1', '2', 1, 1, 0, 1, 1, '3', 1, 0, 0, 0, 0}
		f.Add(one)
		all = append(all, one...)
	}
	f.Add(all)
}

// runScript runs a fuzz target's body in a bubble. Longer scripts find no more.
func runScript(t *testing.T, steps []byte, run func(*testing.T, *script)) {
	if len(steps) <= 1<<9 {
		synctest.Test(t, func(t *testing.T) { run(t, &script{steps}) })
	}
}

// A witness follows a state of its own, and is a caller. It must not notice what a
// hostile peer does.
type witness struct {
	t         *testing.T
	pub       *staterpc.Publisher[int, int]
	published int
	echo      func(context.Context, string) (string, error)
	close     func()
	sum       int
	ended     error
}

var witnessed = staterpc.RPC[string, int, int]{Name: "good.sum", Version: 1}

func newPub() *staterpc.Publisher[int, int] {
	return staterpc.NewPublisher(0, func(s, u int) int { return s + u }, 1000)
}

// witnessHandlers serve what a witness calls.
func witnessHandlers(pub *staterpc.Publisher[int, int]) []bus.Handler {
	return []bus.Handler{
		witnessed.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) { return pub.Watch(ctx) }),
		echoRPC.Handler(func(_ context.Context, s string) (string, error) { return s, nil }),
	}
}

func newWitness(t *testing.T, c *bus.Client, pub *staterpc.Publisher[int, int]) *witness {
	ctx, cancel := context.WithCancel(t.Context())
	w := &witness{t: t, pub: pub, echo: echoRPC.Client(c), close: cancel}
	sum, updates, err := witnessed.Client(c)(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		w.sum = sum
		for u, err := range updates {
			w.sum, w.ended = w.sum+u, err
		}
	}()
	return w
}

// news publishes an update.
func (w *witness) news() {
	w.published++
	w.pub.Publish(1)
	synctest.Wait()
}

// nowAndThen waits until step n is over, and publishes an update behind each fourth:
// they cost more than the steps.
func (w *witness) nowAndThen(n int) {
	synctest.Wait()
	if n%4 == 0 {
		w.news()
	}
}

// undisturbed fails the test unless the witness has everything.
func (w *witness) undisturbed() {
	w.t.Helper()
	w.news()
	if w.sum != w.published || w.ended != nil {
		w.t.Errorf("the witness has %d of %d, %v", w.sum, w.published, w.ended)
	}
	if s, err := w.echo(w.t.Context(), "?"); s != "?" || err != nil {
		w.t.Errorf("the witness calls: %q, %v", s, err)
	}
	w.close()
}

// FuzzServer is a hostile caller at a server, whose own connection may be cut for less
// than others mind, and who drains at the end of every second script.
func FuzzServer(f *testing.F) {
	fuzzScripts(f)
	f.Fuzz(func(t *testing.T, steps []byte) {
		runScript(t, steps, func(t *testing.T, s *script) {
			pub := newPub()
			r := raidOn(t, append(witnessHandlers(pub), sums.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
				return pub.Watch(ctx)
			}).Shared())...)
			w := newWitness(t, r.client, pub)
			at := &stage{names: []string{"mallory", "bad.add", "sums"}, calls: []uint64{1, 2, 3, 4}}
			for n := 0; len(s.rest) > 0; n++ {
				r.play(s, at)
				w.nowAndThen(n)
			}
			w.undisturbed()
			if len(steps)%2 == 1 {
				r.drains()
			}
		})
	})
}

// drains fails the test if the server does not end though all that is asked of it may
// be cut short.
func (r *raid) drains() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	if err := r.srv.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		r.t.Error(err)
	}
	if took := time.Since(start); took > time.Second {
		r.t.Errorf("the drain took %v", took)
	}
}

// outage cuts a connection for as long as the script says, in units.
func (s *script) outage(conn *transport.SimConn, unit time.Duration) {
	conn.Disconnect()
	time.Sleep(time.Duration(s.byte()%16) * unit)
	conn.Reconnect()
}

// play does one step of a script.
func (r *raid) play(s *script, at *stage) {
	for _, m := range r.kept() {
		if strings.HasPrefix(m.Reply, "_D.c.") {
			r.address = m.Reply
		}
		if token := feedToken(m.Data); token != "" {
			at.token = token
		}
	}
	r.forget()
	subject, reply := "", "hostile.reply"
	b := s.byte()
	switch b {
	case 0xf0:
		s.outage(r.own, 10*time.Millisecond)
		time.Sleep(2 * flow.UnheardBound) // or it would seem dead who is cut again and again
		return
	case 0xf1:
		s.outage(r.hostile.conn, time.Second)
		return
	}
	switch b % 12 {
	case 0, 1, 2, 3:
		if subject = r.address; subject == "" {
			subject = "_D.c." + r.srv.Instance() + ".x.1"
		}
	case 4:
		subject = "bad.add.v1"
	case 5:
		subject = "bad.rest.v1"
	case 6:
		subject = "sums.v1"
	case 7:
		subject = r.instance(s.text("bad.add.v1", "bad.rest.v1", "sums.v1", "x", "bad.add.v2"))
	case 8:
		subject = "_D.m." + s.text("bad.add", "sums", "durabus.menu") + ".all"
	case 9:
		subject, reply = s.text("$SRV.PING", "$SRV.INFO.test", "durabus.menu.v1"), s.text("hostile.reply", "")
	case 10:
		subject = "_D.c." + r.srv.Instance() + "." + s.text("menu.1", "menu.x", "x.1")
	default:
		time.Sleep(time.Duration(s.byte()) * 50 * time.Millisecond)
		return
	}
	if subject == "" {
		return
	}
	if err := r.conn.Publish(subject, reply, s.packet(at)); err != nil {
		r.t.Error(err)
	}
}

// feedToken returns that of a First in the packet.
func feedToken(packet []byte) string {
	for rest := packet; ; {
		kind, body, next, err := wire.Next(rest)
		if kind == 0 || err != nil {
			return ""
		}
		var f wire.First
		if kind == wire.KindFirst && f.Parse(body) == nil && f.Feed != "" {
			return f.Feed
		}
		rest = next
	}
}

// inPieces is a query that is sent in pieces.
var inPieces = make([]byte, 300<<10)

// FuzzClient is a hostile responder of one of each kind that a client has called, and
// of a state that is to be taken up where it was. Another client must not notice, and
// the client itself, whose connection may be cut, is as good as before.
func FuzzClient(f *testing.F) {
	fuzzScripts(f)
	f.Fuzz(func(t *testing.T, steps []byte) {
		runScript(t, steps, func(t *testing.T, s *script) {
			net, pub := transport.NewNet(1), newPub()
			srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "good"}, witnessHandlers(pub)...)
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Close()
			own := net.Dial()
			other, client := bus.NewClientOn(net.Dial(), bus.ClientOptions{}), bus.NewClientOn(own, bus.ClientOptions{})
			defer other.Close()
			defer client.Close()
			w := newWitness(t, other, pub)
			at := &stage{names: []string{"hostile", "another", "bad"}, token: "token"}
			h := newHostile(t, net, "_D.c.hostile")
			for _, subject := range []string{"bad.*", wire.InstanceSubjects("hostile")} {
				h.subscribe(t, subject, h.keep)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for i, kind := range []bus.Kind{bus.Unary, bus.Pipe, bus.State, bus.Unary} {
				go callBadly(ctx, client, bus.Call{Description: bus.Description{Name: "bad", Version: i + 1, Kind: kind}, Query: inPieces[:i/3*len(inPieces)]})
				synctest.Wait()
			}
			again := bus.WithResume(ctx, bus.Resume{Wait: func(int) time.Duration { return time.Second }})
			go callBadly(again, client, bus.Call{Description: bus.Description{Name: "bad", Version: 5, Kind: bus.State}})
			synctest.Wait()
			for n := 0; len(s.rest) > 0; n++ {
				h.play(t, s, at, own)
				w.nowAndThen(n)
			}
			cancel()
			synctest.Wait()
			if got, err := echoRPC.Client(client)(t.Context(), "?"); got != "?" || err != nil {
				t.Errorf("another call of the client: %q, %v", got, err)
			}
			w.undisturbed()
		})
	})
}

// callBadly reads until it ends.
func callBadly(ctx context.Context, c *bus.Client, call bus.Call) {
	r, err := c.Call(ctx, call)
	if err != nil || r.Updates == nil {
		return
	}
	for range r.Updates { //nolint:revive // to its end
	}
}

// play does one step of a script, to the client whose connection is own.
func (h *hostile) play(t *testing.T, s *script, at *stage, own *transport.SimConn) {
	for _, m := range h.kept() {
		if n, _ := wire.Number(m.Data); !strings.HasPrefix(m.Subject, h.name) { // a request
			at.calls, at.inbox = append(at.calls, n), m.Reply
		}
	}
	h.forget()
	b := s.byte()
	if b == 0xf0 {
		s.outage(own, 500*time.Millisecond)
		return
	}
	subject, reply := at.inbox, "_D.c.hostile.token.1"
	switch b % 8 {
	case 0, 1, 2, 3:
	case 4:
		reply = ""
	case 5:
		subject = "_D.f.bad.v3.hostile.token"
	case 6:
		subject, reply = "_D.a.bad", ""
	default:
		time.Sleep(time.Duration(s.byte()) * 50 * time.Millisecond)
		return
	}
	if err := h.conn.Publish(subject, reply, s.packet(at)); err != nil && !errors.Is(err, transport.ErrNotConnected) {
		t.Error(err)
	}
}
