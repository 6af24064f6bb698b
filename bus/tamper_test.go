// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
)

// The bounds of what one broken message costs, beyond what the exchange takes
// unharmed: five seconds of silence, and the ticks and heartbeats that notice it.
const (
	callerLearnsWithin  = 6500 * time.Millisecond
	handlerIsFreeWithin = 6500 * time.Millisecond
)

// An operation is done to one message of an exchange.
type operation string

const (
	dropped  operation = "dropped"
	repeated operation = "repeated"
	swapped  operation = "swapped with the next"
)

// elapse lets virtual time pass: exchanges run in bubbles.
func elapse(d time.Duration) { time.Sleep(d) }

// tamper does op to message number n of those that both connections publish. End
// ends it and reports whether there was such a message.
func tamper(net *transport.Net, n int64, op operation) (end func() bool) {
	var count atomic.Int64
	var held *transport.Msg
	var holder *transport.SimConn
	net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
		if count.Add(1) != n {
			if held != nil && from == holder {
				late := *held
				held = nil
				return []transport.Msg{m, late}
			}
			return []transport.Msg{m}
		}
		switch op {
		case repeated:
			return []transport.Msg{m, m}
		case swapped:
			held, holder = &m, from
		}
		return nil
	})
	return func() bool {
		net.Tap(nil)
		return count.Load() >= n
	}
}

// A harmed is one exchange of which one message was tampered with.
type harmed struct {
	got     string
	err     error
	took    time.Duration // until the caller knew
	freed   time.Duration // from then until no handler ran
	started int64         // handlers
	reached bool          // there was such a message
	after   string        // what the same exchange gave afterwards, unharmed
	afterEr error
	chatter int64 // messages when all should have been forgotten
}

// harm runs x in a bubble of its own. Message n counts from the first call on.
func harm(t *testing.T, x exchange, n int64, op operation) (h harmed) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var running, started atomic.Int64
		count := func(next bus.CallFunc) bus.CallFunc {
			return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
				started.Add(1)
				running.Add(1)
				context.AfterFunc(ctx, func() { running.Add(-1) })
				return next(ctx, c)
			}
		}
		net := transport.NewNet(1)
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test", Middleware: []bus.Middleware{count}}, x.handler)
		if err != nil {
			t.Fatal(err)
		}
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		synctest.Wait()
		end := tamper(net, n, op)
		start := time.Now()
		h.got, h.err = x.run(client)
		h.took = time.Since(start)
		for running.Load() > 0 && h.freed < time.Minute {
			time.Sleep(50 * time.Millisecond)
			h.freed += 50 * time.Millisecond
		}
		time.Sleep(4 * time.Second) // heartbeats and resets may be harmed too
		h.reached, h.started = end(), started.Load()
		h.after, h.afterEr = x.run(client)
		time.Sleep(20 * time.Second)
		var chatter atomic.Int64
		net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if !strings.HasPrefix(m.Subject, "_D.a.") { // those go on for as long as the server does
				chatter.Add(1)
			}
			return []transport.Msg{m}
		})
		time.Sleep(3 * time.Second)
		h.chatter = chatter.Load()
		if err := errors.Join(client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// wrong says what of h breaks a promise, compared with the unharmed exchange.
func (h harmed) wrong(x exchange, whole harmed) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	e, ours := errors.AsType[*bus.Error](h.err)
	wanted := x.err != nil && errors.Is(h.err, x.err)
	switch {
	case h.err == nil && h.got != x.want:
		add("it looks whole, but the result is %.80q of %d bytes, not %.80q", h.got, len(h.got), x.want)
	case h.err == nil && x.err != nil:
		add("it looks whole, but should have ended with %v", x.err)
	case !strings.HasPrefix(x.want, h.got):
		add("the result %.80q is not the beginning of %.80q", h.got, x.want)
	case wanted && h.got != x.want:
		add("it ended with the right error %v, but after %.80q", h.err, h.got)
	case h.err != nil && !ours:
		add("the error is %T: %v", h.err, h.err)
	case ours && !wanted && !e.MayHaveRun && h.started > 0:
		add("the error says that the handler did not run, and it did: %v", h.err)
	}
	if h.started > x.most() {
		add("%d handlers ran", h.started)
	}
	if h.took > whole.took+callerLearnsWithin {
		add("the caller knew after %v", h.took)
	}
	if h.freed > whole.freed+handlerIsFreeWithin {
		add("the handler was released %v later", h.freed)
	}
	if h.after != x.want || !errors.Is(h.afterEr, x.err) {
		add("the next exchange gave %.80q of %d bytes, %v", h.after, len(h.after), h.afterEr)
	}
	if h.chatter > 0 {
		add("%d messages were sent when all was over", h.chatter)
	}
	return wrong
}

// The answer and the word that somebody has the call race for the caller.
func TestAnAnswerAtTheMomentOfTheFirstSignLeavesNothingBehind(t *testing.T) {
	for _, x := range exchanges() {
		if x.name != answerAtFirstSign {
			continue
		}
		for range 200 {
			whole := harm(t, x, 0, dropped)
			if wrong := whole.wrong(x, whole); len(wrong) > 0 {
				t.Fatal(wrong)
			}
		}
	}
}

func TestNoMessageThatIsHarmedHarmsTheResult(t *testing.T) {
	for _, x := range exchanges() {
		t.Run(x.name, func(t *testing.T) {
			whole := harm(t, x, 0, dropped)
			if wrong := whole.wrong(x, whole); len(wrong) > 0 {
				t.Fatal("unharmed:", wrong)
			}
			messages := 0
			for _, op := range []operation{dropped, repeated, swapped} {
				reached := true
				for n := int64(1); reached && n < 200; n++ {
					h := harm(t, x, n, op)
					for _, wrong := range h.wrong(x, whole) {
						t.Errorf("message %d %s: %s (error %v)", n, op, wrong, h.err)
					}
					if reached = h.reached; reached {
						messages++
					}
				}
			}
			if messages < 3 {
				t.Errorf("%d messages were harmed", messages)
			}
			t.Log(messages, "messages harmed")
		})
	}
}
