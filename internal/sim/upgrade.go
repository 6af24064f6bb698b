// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

// upgrade replaces the responders that there are by others with the next
// versions, one after the other: each comes before the one that it replaces
// leaves.
func (w *world) upgrade(r *rand.Rand) {
	w.upgrades++
	name, next := fmt.Sprint("upgrade", w.upgrades), [][]int{{1, 2}, {2}, {1}}[r.IntN(3)]
	own := w.dice.of(name).rand()
	w.changed.Lock()
	old := slices.Clone(w.responders)
	w.changed.Unlock()
	w.others.Go(func() {
		for n, p := range old {
			w.enlist(w.serve(fmt.Sprint(name, "-", n+1), own.IntN(w.nodes), w.delay, next...))
			if !w.take(p) {
				continue // it has died, or leaves
			}
			overlap := w.overlap()
			w.count(func(r *Report) {
				r.Upgrades++
				if overlap {
					r.Overlaps++
				}
			})
			wait(context.Background(), between(own, time.Microsecond, 300*time.Millisecond))
			ctx, cancel := context.WithTimeout(context.Background(), between(own, time.Millisecond, 3*time.Second))
			p.drain(ctx)
			cancel()
		}
	})
}

// take takes a responder out of the list. It reports false if it is not there.
func (w *world) take(p *responder) bool {
	w.changed.Lock()
	defer w.changed.Unlock()
	n := slices.Index(w.responders, p)
	if n >= 0 {
		w.responders = slices.Delete(w.responders, n, n+1)
	}
	return n >= 0
}

// overlap reports whether the old version and the new one are served, each by
// somebody who does not serve the other.
func (w *world) overlap() bool {
	w.changed.Lock()
	defer w.changed.Unlock()
	alone := func(version int) bool {
		return slices.ContainsFunc(w.all, func(p *responder) bool {
			return !p.conn.isDead() && !p.leaving && len(p.versions) == 1 && p.versions[0] == version
		})
	}
	return alone(1) && alone(2)
}

// settle is how long a process must have been left alone until everybody is sure
// to know of it, beside what messages take: a call may wait for the answer to a
// question that was asked for others, up to a second before.
const settle = time.Second + 50*time.Millisecond

// wanted checks that a call did not end for want of a version while somebody who
// serves one of versions, if that is what it is about, was there for it: nothing
// happened to either end, or between them, since a moment before the call.
func (c *caller) wanted(of *call, err error, versions ...int) {
	e, ok := errors.AsType[*bus.Error](err)
	if !ok || e.Code != bus.Unserved && e.Code != bus.NoResponder || e.Err != nil {
		return // or there was no time to ask
	}
	w, near := c.world, c.conn.simulated()
	if near == nil {
		return
	}
	since := of.began.Add(-settle - 8*w.delay.most)
	w.changed.Lock()
	var there []string
	for _, p := range w.all {
		serves := len(versions) == 0 || slices.ContainsFunc(versions, func(v int) bool { return slices.Contains(p.versions, v) })
		if serves && !p.leaving && near.net.calmly(near, p.conn.simulated(), since) {
			there = append(there, p.name)
		}
	}
	w.changed.Unlock()
	if len(there) > 0 {
		w.oracle.broken("I3", "%s %d of %s ended for want of a version, and %v serve it: %v", of.what, of.id, c.name, there, err)
	}
}

// calmly reports whether nothing has happened to two processes, or between them,
// since a moment.
func (n *network) calmly(a, b *conn, since time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range []*conn{a, b} {
		if !c.connected || c.dead || c.stopped != nil || c.disturbed.After(since) || c.up.late.After(since) || c.down.late.After(since) {
			return false
		}
	}
	for _, l := range []*line{n.routes[a.node][b.node], n.routes[b.node][a.node]} {
		if a.node != b.node && (l.down || l.late.After(since)) {
			return false
		}
	}
	return true
}

// oldQuotes calls the old version as one who knows no other.
func oldQuotes(caller bus.Caller) unaryrpc.Func[query, answer] {
	f := quote1RPC.Client(caller)
	return func(ctx context.Context, q query) (answer, error) {
		a, err := f(ctx, oldQuote{Call: q.Call, Caller: q.Caller})
		return answer{Call: a.Of}, err
	}
}

// miss calls a version that there is not, and is told so where there are others.
func (c *caller) miss(r *rand.Rand) {
	o := c.world.oracle
	of := o.begin(c.name, "quote of another version", false, 0)
	_, err := quote9RPC.Client(c.client)(c.ctx, c.query(r, of))
	o.end(of, err)
	if !errors.Is(err, bus.Unserved) {
		c.wanted(of, err)
	}
}
