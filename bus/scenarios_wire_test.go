// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/unaryrpc"
)

// The scenarios of the catalogue that say what is sent and in which order.
func TestScenariosOfTheWire(t *testing.T) {
	for _, s := range []struct {
		name string
		run  func(*testing.T, *wiretap)
	}{
		{"S002 S007 a call that waits is answered before the next is sent", inTurn},
		{"S016 an answer that finds the connection gone is not sent later", answerMeetsOutage},
		{"S017 an answer to a caller that is gone is not sent", answerToNobody},
		{"S021 what is sent in a row arrives in that order", inARow},
		{"S050 the end of a message's handler is told to nobody", lateMessage},
		{"S166 who serves says so when it comes, and who calls says nothing until then", whatIsSaidFirst},
		{"S172 a call that gets no sign of life ends after 2 s, whichever side is slow", noSignOfLife},
		{"S184 who is closed sends no heartbeat", silentAfterClose},
		{"S186 who is idle closes at once and leaves nothing", idleClose},
		{"S206 a menu that is known is not asked for", menuIsKnown},
	} {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { s.run(t, newWiretap(t)) })
		})
	}
}

// A wiretap is a caller and a responder, and what they sent.
type wiretap struct {
	t         *testing.T
	near, far *transport.SimConn
	client    *bus.Client
	srv       *bus.Server

	mu    sync.Mutex
	lines []string // that were sent
	names []string // that were announced
	told  []string // by the trace at the responder
}

func newWiretap(t *testing.T) *wiretap {
	net := transport.NewNet(1)
	w := &wiretap{t: t, near: net.Dial(), far: net.Dial()}
	w.client = bus.NewClientOn(w.near, bus.ClientOptions{})
	net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
		w.mu.Lock()
		defer w.mu.Unlock()
		if line := w.line(from, m); line != "" {
			w.lines = append(w.lines, line)
		}
		return []transport.Msg{m}
	})
	t.Cleanup(func() {
		if err := errors.Join(w.client.Close(), w.srv.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// line says who sent m and, of requests and answers, what it is. Announcements
// are for everybody, and are left out.
func (w *wiretap) line(from *transport.SimConn, m transport.Msg) string {
	who, rest, request := "responder", "", false
	if from == w.near {
		who = "caller"
	}
	switch _, rest, request = strings.Cut(m.Subject, "wire."); {
	case wire.IsAnnounceSubject(m.Subject):
		w.names = append(w.names, who+": "+m.Subject)
		return ""
	case request:
		return who + ": " + rest
	case bytes.Contains(m.Data, []byte(theAnswer)):
		return who + ": answer"
	}
	return who
}

// serve starts the responder, with a trace.
func (w *wiretap) serve(handlers ...bus.Handler) {
	w.t.Helper()
	var err error
	w.srv, err = bus.ServeOn(w.far, bus.Service{Middleware: []bus.Middleware{bus.Trace(func(ev bus.TraceEvent) {
		w.mu.Lock()
		defer w.mu.Unlock()
		step := ev.Kind.String()
		if ev.Err != nil {
			step += " " + string(bus.OutcomeOf(ev.Err))
		}
		w.told = append(w.told, step)
	})}}, handlers...)
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	w.sent()
}

// sent returns what was sent since it was asked last.
func (w *wiretap) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	return lines
}

func (w *wiretap) want(what string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func (w *wiretap) wantTold(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.want("the trace", w.told, want...)
}

const theAnswer = "the answer"

func wireRPC(version int) unaryrpc.RPC[int, string] {
	return unaryrpc.RPC[int, string]{Name: "wire", Version: version}
}

func answering(version int) bus.Handler {
	return wireRPC(version).Handler(func(context.Context, int) (string, error) { return theAnswer, nil })
}

func inTurn(t *testing.T, w *wiretap) {
	w.serve(answering(25), answering(75))
	for _, v := range []int{25, 75} {
		if got, err := wireRPC(v).Client(w.client)(t.Context(), v); got != theAnswer || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	w.want("sent", w.sent(), "caller: v25", "responder: answer", "caller: v75", "responder: answer")
	w.wantTold("queried", "accepted", "ended", "queried", "accepted", "ended")
}

func inARow(t *testing.T, w *wiretap) {
	var handlers []bus.Handler
	var want []string
	for v := 1; v <= 20; v++ {
		rpc := onewayrpc.RPC[int]{Name: "wire", Version: v}
		handlers = append(handlers, rpc.Handler(func(context.Context, int) error { return nil }))
		want = append(want, fmt.Sprintf("caller: v%d", v))
	}
	w.serve(handlers...)
	for v := 1; v <= 20; v++ {
		if err := (onewayrpc.RPC[int]{Name: "wire", Version: v}).Client(w.client)(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}
	w.want("sent", w.sent(), want...)
}

func lateMessage(t *testing.T, w *wiretap) {
	rpc := onewayrpc.RPC[int]{Name: "wire", Version: 1}
	w.serve(rpc.Handler(func(context.Context, int) error { time.Sleep(10 * time.Second); return nil }))
	start := time.Now()
	if err := rpc.Client(w.client)(t.Context(), 1); err != nil || time.Since(start) > 0 {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	synctest.Wait()
	w.wantTold("queried")
	time.Sleep(11 * time.Second)
	w.wantTold("queried", "accepted", "ended")
	w.want("sent", w.sent(), "caller: v1")
}

func answerMeetsOutage(t *testing.T, w *wiretap) {
	w.serve(wireRPC(1).Handler(func(context.Context, int) (string, error) {
		w.far.Disconnect()
		return theAnswer, nil
	}))
	if _, err := wireRPC(1).Client(w.client)(t.Context(), 1); !errors.Is(err, bus.NoAnswer) {
		t.Errorf("the call: %v", err)
	}
	w.far.Reconnect()
	time.Sleep(time.Minute)
	if got := w.sent(); slices.Contains(got, "responder: answer") {
		t.Errorf("sent: %q", got)
	}
	w.wantTold("queried", "accepted", "ended") // once
}

func answerToNobody(t *testing.T, w *wiretap) {
	w.serve(wireRPC(1).Handler(func(ctx context.Context, _ int) (string, error) {
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, bus.Gone) {
			t.Errorf("the handler's context ended with %v", cause)
		}
		return theAnswer, nil
	}))
	called := make(chan error, 1)
	go func() {
		_, err := wireRPC(1).Client(w.client)(t.Context(), 1)
		called <- err
	}()
	time.Sleep(3 * time.Second)
	w.near.Disconnect()
	time.Sleep(time.Minute)
	if got := w.sent(); slices.Contains(got, "responder: answer") {
		t.Errorf("sent: %q", got)
	}
	wantEnd(t, "the call", called, bus.Disconnected)
}

func silentAfterClose(t *testing.T, w *wiretap) {
	w.serve(holding(nil))
	called := make(chan error, 1)
	go func() {
		_, err := heldRPC.Client(w.client)(t.Context(), 0)
		called <- err
	}()
	time.Sleep(10 * time.Second)
	if n := len(w.sent()); n < 10 {
		t.Errorf("%d messages while a call was open for 10 s", n)
	}
	if err := w.srv.Close(); err != nil {
		t.Error(err)
	}
	wantEnd(t, "the call", called, bus.Draining)
	if err := w.client.Close(); err != nil {
		t.Error(err)
	}
	w.sent()
	time.Sleep(time.Minute)
	w.want("sent after the end", w.sent())
}

func idleClose(t *testing.T, w *wiretap) {
	w.serve(answering(1))
	if _, err := wireRPC(1).Client(w.client)(t.Context(), 1); err != nil {
		t.Error(err)
	}
	start := time.Now()
	if err := errors.Join(w.srv.Close(), w.client.Close()); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 0 {
		t.Errorf("it took %v", d)
	}
	if n := w.near.Subscriptions() + w.far.Subscriptions(); n > 0 {
		t.Errorf("%d subscriptions are left", n)
	}
	w.want("sent", w.sent(), "caller: v1", "responder: answer")
}

func whatIsSaidFirst(t *testing.T, w *wiretap) {
	synctest.Wait()
	w.want("sent before", w.sent())
	w.serve(answering(1), answering(2))
	w.mu.Lock()
	slices.Sort(w.names)
	w.want("announced", w.names, "responder: _D.a.durabus.menu", "responder: _D.a.wire")
	w.mu.Unlock()
	if _, err := wireRPC(2).Client(w.client)(t.Context(), 0); err != nil {
		t.Error(err)
	}
	w.want("sent by the first call", w.sent(), "caller: v2", "responder: answer")
}

func noSignOfLife(t *testing.T, w *wiretap) {
	w.serve(answering(1))
	for _, slow := range []struct {
		near, far bool
		want      error
	}{{false, false, nil}, {true, false, bus.NoAnswer}, {false, true, bus.NoAnswer}, {true, true, bus.NoAnswer}} {
		w.near.Freeze(slow.near)
		w.far.Freeze(slow.far)
		start := time.Now()
		_, err := wireRPC(1).Client(w.client)(t.Context(), 0)
		if d := time.Since(start); !errors.Is(err, slow.want) || d > 2*time.Second || (d > 0) != (slow.want != nil) {
			t.Errorf("%+v: %v after %v", slow, err, d)
		}
	}
	w.near.Freeze(false)
	w.far.Freeze(false)
}

func menuIsKnown(t *testing.T, w *wiretap) {
	w.serve(answering(1))
	for _, want := range [][]string{{"caller: all", "responder"}, nil, nil} {
		if served, err := w.client.Served(t.Context(), "wire"); err != nil || !slices.Equal(served, []int{1}) {
			t.Errorf("served: %v, %v", served, err)
		}
		w.want("sent", w.sent(), want...)
	}
}
