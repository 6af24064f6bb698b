// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/examples/procs"
)

type event = durable.Event[procs.Table, procs.Update]

// A replica is the table as this process knows it, and what it took to know it.
// It is a value: whoever holds one may read it while the next one is made.
type replica struct {
	table procs.Table
	info  bus.Info // who gave it
	fresh bool     // that nothing was lost since

	opened time.Time     // when the stream was, or was again
	heard  time.Time     // when the last state or update was
	still  time.Duration // the longest time between two of them in this act
	count                // of the updates since the last state, or the act's deed
}

// A count is how many processes updates spoke of.
type count struct{ started, exited, changed int }

func (c count) updates() int { return c.started + c.exited + c.changed }

// after returns the replica after ev, at a time.
func (r replica) after(ev event, now time.Time) replica {
	switch ev.Kind {
	case durable.Connected:
		r.info, r.opened = *ev.Info, now
	case durable.Resumed:
		r.info, r.opened, r.fresh = *ev.Info, now, true
	case durable.Snapshot:
		r = r.hears(now)
		r.table, r.fresh, r.count = ev.State, true, count{}
	case durable.Update:
		if ev.Err != nil {
			r.fresh = false // and its checksum will say so
			break
		}
		r = r.hears(now)
		r.table = r.table.Apply(ev.Update)
		r.started += len(ev.Update.Started)
		r.exited += len(ev.Update.Exited)
		r.changed += len(ev.Update.Changed)
	case durable.Lost:
		r.fresh = false
	}
	return r
}

func (r replica) hears(now time.Time) replica {
	if !r.heard.IsZero() {
		r.still = max(r.still, now.Sub(r.heard))
	}
	r.heard = now
	return r
}

// digest returns the digest of the table in the version that it came in.
func (r replica) digest() string { return r.table.Digests()[r.info.RPC.Version] }
