// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
)

// The bounds of docs/protocol.md («Limits»).
const (
	window      = 256 << 10 // of a stream, or of an instance, at first
	largest     = 8 << 20   // of a stream
	values      = 256 << 20
	windows     = 24 << 20 // of all instances
	feedKept    = 1 << 20  // of a feed, by who publishes it
	feedBehind  = 4<<20 + 256<<10
	batch       = 16 << 10
	value       = 512 << 10 // no value in a schedule is larger
	peerRemains = 30*time.Second + 5*time.Second + 2*flow.Tick + time.Second
	openRemains = 3*5*time.Second + 2*flow.Tick + time.Second // a feed's readers, then its members, then what it kept
)

// watch looks at what every process holds, all the time.
func (w *world) watch(ctx context.Context) {
	for wait(ctx, 250*time.Millisecond+time.Nanosecond) {
		w.look()
	}
}

// look holds what every process has open against its bounds, and what both ends of
// a stream say of it against one another.
func (w *world) look() {
	callers, responders := w.present()
	ends := map[string]bus.StreamInfo{}
	for _, p := range responders {
		w.checkServer(p.name, p.server.Snapshot(), ends)
	}
	for _, c := range callers {
		w.checkClient(c.name, c.client.Snapshot(), ends)
	}
}

// present returns the processes that have not died or left.
func (w *world) present() ([]*caller, []*responder) {
	w.changed.Lock()
	defer w.changed.Unlock()
	return slices.Concat(w.callers, []*caller{w.neighbour}), slices.Concat(w.responders, []*responder{w.home})
}

func (w *world) checkServer(who string, s bus.Snapshot, ends map[string]bus.StreamInfo) {
	for _, i := range s.Streams {
		ok := true
		switch i.Role {
		case bus.RoleStream:
			ok = i.Queued <= batch+value && i.Credit.Used <= i.Credit.Granted && i.Shared.Used <= i.Shared.Granted
			ends[i.CallID] = i
		case bus.RoleFeed:
			ok = i.Queued <= batch+value && i.Kept <= feedKept
		}
		if !ok {
			w.oracle.broken("I4", "%s sends more than it may, or holds more: %+v", who, i)
		}
	}
	w.within(who, "queries", s.Held.Values, values)
	w.within(who, "callers", int64(s.Held.Peers), w.named.Load()+1) // each is one, and the neighbour
	w.within(who, "handlers", int64(s.Held.Calls), 1000)
	w.count(func(r *Report) { r.Kept = max(r.Kept, s.Held.Feeds) })
}

func (w *world) checkClient(who string, s bus.Snapshot, ends map[string]bus.StreamInfo) {
	extra, queued, behind, way := int64(0), 0, 0, map[string]uint64{}
	for _, i := range s.Streams {
		ok := true
		switch i.Role {
		case bus.RoleStream:
			held := uint64(i.Queued)
			ok = i.Credit.Used <= i.Credit.Granted && held <= i.Credit.Used && i.Credit.Granted-i.Credit.Used+held <= largest
			extra += max(0, int64(i.Credit.Granted-i.Credit.Used+held)-window)
			queued = max(queued, i.Queued)
			if far, known := ends[i.CallID]; known && far.Credit.Granted > i.Credit.Granted {
				w.oracle.broken("I4", "%s may send %d bytes, and was granted %d: %+v", far.Peer, far.Credit.Granted, i.Credit.Granted, i)
			}
		case bus.RoleFeed, bus.RoleReader:
			ok = i.Queued <= feedBehind
			behind = max(behind, i.Queued)
		}
		if way[i.Peer] = i.Shared.Granted - i.Shared.Used; i.Shared.Used > i.Shared.Granted {
			ok = false
		}
		if !ok {
			w.oracle.broken("I4", "%s takes more than it may: %+v", who, i)
		}
	}
	onWay := int64(0)
	for _, n := range way {
		onWay += int64(n)
	}
	w.within(who, "bytes on their way", onWay, windows+window*int64(len(way)))
	w.within(who, "windows", s.Held.Windows, windows)
	w.within(who, "values", s.Held.Values, values)
	w.within(who, "streams' windows", extra, s.Held.Values)
	w.count(func(r *Report) {
		r.Queued, r.Behind = max(r.Queued, queued), max(r.Behind, behind)
		r.OnWay, r.Values = max(r.OnWay, onWay), max(r.Values, s.Held.Values)
	})
}

func (w *world) within(who, what string, n, bound int64) {
	if n < 0 || n > bound {
		w.oracle.broken("I4", "%s has %d %s, of at most %d", who, n, what, bound)
	}
}

// emptied waits until those who have nothing to do any more hold nothing.
func (w *world) emptied() {
	began := time.Now()
	for _, stage := range []struct {
		bound time.Duration
		left  func(bus.Snapshot) bool
	}{
		{openRemains, func(s bus.Snapshot) bool { return len(s.Streams)+s.Held.Calls > 0 }},
		{peerRemains, func(s bus.Snapshot) bool { return s.Held != bus.Held{} }},
	} {
		left := func() (all []bus.Snapshot) {
			callers, responders := w.present()
			for _, c := range callers {
				if s := c.client.Snapshot(); stage.left(s) {
					all = append(all, s)
				}
			}
			for _, p := range responders {
				if s := p.server.Snapshot(); stage.left(s) {
					all = append(all, s)
				}
			}
			return all
		}
		for len(left()) > 0 && time.Since(began) < stage.bound {
			wait(context.Background(), 500*time.Millisecond)
		}
		for _, s := range left() {
			w.oracle.broken("I5", "%s %s has something %v after everybody left: %+v, %+v", s.Side, s.ID, time.Since(began), s.Held, s.Streams)
		}
		w.count(func(r *Report) { r.Empty = max(r.Empty, time.Since(began)) })
	}
}
