// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"maps"
	"sync"
	"testing"

	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/wire"
)

// A snapshotTap stands on the way of responders to their broker and counts what
// they send: every message passes it, whatever becomes of it then.
type snapshotTap struct {
	*broker.Proxy

	mu      sync.Mutex          // guards the fields below
	fresh   map[uint64]int      // first frames with a state, by call
	goOn    int                 // those that take a stream up, and have none
	updated map[uint64]struct{} // calls that were sent updates
}

func newSnapshotTap(t *testing.T, url string) *snapshotTap {
	t.Helper()
	p := &snapshotTap{Proxy: broker.RunProxy(t, url)}
	p.forget()
	p.Tamper(p.see)
	return p
}

func (p *snapshotTap) see(op *broker.Op) broker.Verdict {
	if op.Direction != broker.ToServer || !op.IsMessage() {
		return broker.Pass
	}
	for rest := op.Payload; len(rest) > 0; {
		kind, body, after, err := wire.Next(rest)
		if err != nil || kind == 0 {
			break
		}
		p.count(kind, body)
		rest = after
	}
	return broker.Pass
}

func (p *snapshotTap) count(kind wire.Kind, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first wire.First
	var data wire.Data
	switch {
	case kind == wire.KindFirst && first.Parse(body) == nil && first.Resumed:
		p.goOn++
	case kind == wire.KindFirst:
		p.fresh[first.Call]++
	case kind == wire.KindData && data.Parse(body) == nil:
		p.updated[data.Call] = struct{}{}
	}
}

// firsts returns how many first frames with a state have passed, by call, and
// how many without.
func (p *snapshotTap) firsts() (fresh map[uint64]int, goOn int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.fresh), p.goOn
}

// calls returns to how many calls updates have passed.
func (p *snapshotTap) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.updated)
}

func (p *snapshotTap) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh, p.goOn, p.updated = map[uint64]int{}, 0, map[uint64]struct{}{}
}
