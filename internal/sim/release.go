// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
)

// How long something of a peer that died may remain, after the last that was heard
// of it and after the last that happened to who has it; and where the broker knows
// that it died, after a reconnect has settled. There a heartbeat may have left just
// before, and a request may have come just after.
const (
	release = flow.SilenceBound + flow.Tick
	unheard = flow.UnheardBound + flow.BeatEvery + 2*flow.Tick
)

// lazy is how long a reader may take until it looks what came next.
const lazy = time.Second

// onTheWay is how long a message may be, at most, after the storm too.
func (w *world) onTheWay() time.Duration { return 3 * (w.delay.most + w.delay.latest) }

// released waits until no responder has anything of a caller that died.
func (w *world) released(c *caller, died time.Time, noticed bool) {
	id := c.client.Snapshot().ID
	_, responders := w.present()
	for _, p := range responders {
		w.remains(p.conn, died, noticed, 0, p.name+" runs handlers for "+c.name, func() any {
			if n := w.oracle.handlers(c.name, p.name); n > 0 {
				return n
			}
			return nil
		})
		w.remains(p.conn, died, noticed, 0, p.name+" has streams to "+c.name, func() any { return ofPeer(p.server.Snapshot(), id) })
	}
}

// givenUp waits until no caller has anything of a responder that died, but for
// what a reader has yet to take and what it will try to take up again.
func (w *world) givenUp(p *responder, died time.Time, noticed bool) {
	callers, _ := w.present()
	for _, c := range callers {
		w.remains(c.conn, died, noticed, lazy, c.name+" has streams of "+p.name, func() any { return ofPeer(c.client.Snapshot(), p.server.Instance()) })
	}
}

// ofPeer returns something that is open with a peer; nil if there is nothing.
func ofPeer(s bus.Snapshot, id string) any {
	n := slices.IndexFunc(s.Streams, func(i bus.StreamInfo) bool {
		return i.Peer == id && (s.Side == "server" || i.Role == bus.RoleStream && i.Queued == 0 && i.Waits != bus.WaitConnection)
	})
	if n < 0 {
		return nil
	}
	return s.Streams[n]
}

// remains waits until something that a process has of one who died is over. Each
// thing that happens to the process gives the dead its time anew.
func (w *world) remains(has link, died time.Time, noticed bool, more time.Duration, what string, remain func() any) {
	for left := remain(); left != nil; left = remain() {
		calm := has.calm()
		took, after := time.Since(later(died, calm)), time.Since(later(died, calm.Add(flow.SettleTime)))
		switch {
		case has.isDead():
			return
		case took > release+more+w.onTheWay(), noticed && min(took, after) > unheard+more+w.onTheWay():
			w.oracle.broken("I5", "%s, which died %v ago, and nothing has happened for %v: %+v", what, time.Since(died), took, left)
			return
		case noticed:
			w.count(func(r *Report) { r.Unheard = max(r.Unheard, after-more) })
		default:
			w.count(func(r *Report) { r.Release = max(r.Release, took-more) })
		}
		wait(context.Background(), 50*time.Millisecond)
	}
}
