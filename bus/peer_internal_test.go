// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"testing"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

func TestWhatAHeartbeatCountsIsTakenForLostAtTheNext(t *testing.T) {
	p := &peer{box: newMailbox(transport.NewNet(1).Dial()), window: flow.NewWindow(peerWindow, inboxBudget, 0)}
	const used = peerWindow / 2
	for i, want := range []uint64{peerWindow, peerWindow + used} {
		p.sync(used)
		if got := p.window.Granted(); got != want {
			t.Errorf("after heartbeat %d %d bytes are granted, want %d", i+1, got, want)
		}
	}
}

func TestACallHasItsTimeAnewAfterASleepOfItsCaller(t *testing.T) {
	b := newMailbox(transport.NewNet(1).Dial())
	c := newInCall(Unary)
	c.box, c.route = b, &route{box: b, desc: Description{Name: "a", Version: 1, Kind: Unary}}
	for _, tick := range []struct {
		now  time.Duration
		late bool
		want Code
	}{{giveUp - 1, false, ""}, {time.Hour, true, ""}, {time.Hour + giveUp - 1, false, ""}, {time.Hour + giveUp, false, NoAnswer}} {
		c.ticked(tick.now, tick.late)
		if got := c.err; got == nil && tick.want != "" || got != nil && got.Code != tick.want {
			t.Errorf("at %v: %v, want %q", tick.now, got, tick.want)
		}
	}
}

// Many streams may have one context, and all end with it.
func TestCancellationsOfManyCallsFitTheirMessages(t *testing.T) {
	net := transport.NewNet(1)
	b := newMailbox(net.Dial())
	p := &peer{box: b, ctl: "_D.c.far.token.1", calls: map[uint64]*inCall{}}
	const calls = 100_000
	for n := range uint64(calls) {
		if !p.cancel(&inCall{id: n + 1}) {
			t.Fatal("the peer is gone")
		}
	}
	cancelled := 0
	net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
		if len(m.Data) > frameLimit {
			t.Errorf("a message of %d bytes", len(m.Data))
		}
		for rest := m.Data; len(rest) > 0; {
			var kind wire.Kind
			var err error
			if kind, _, rest, err = wire.Next(rest); err != nil {
				t.Error(err)
			}
			if kind == wire.KindCancel {
				cancelled++
			}
		}
		return nil
	})
	p.flush()
	if cancelled != calls {
		t.Errorf("%d calls of %d are cancelled", cancelled, calls)
	}
}
