// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"sync"
	"testing"

	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/wire"
)

// A snapshotTap stands on the way of responders to their broker and counts the first
// frames that they send: every message passes it, whatever becomes of it then.
type snapshotTap struct {
	*broker.Proxy

	mu    sync.Mutex // guards the fields below
	fresh int        // that have a state
	goOn  int        // that take a stream up, and have none
}

func newSnapshotTap(t *testing.T, url string) *snapshotTap {
	t.Helper()
	p := &snapshotTap{Proxy: broker.RunProxy(t, url)}
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
		var f wire.First
		if kind == wire.KindFirst && f.Parse(body) == nil {
			p.count(f)
		}
		rest = after
	}
	return broker.Pass
}

func (p *snapshotTap) count(f wire.First) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Resumed {
		p.goOn++
	} else {
		p.fresh++
	}
}

// firsts returns how many first frames with and without a state have passed.
func (p *snapshotTap) firsts() (fresh, goOn int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fresh, p.goOn
}

func (p *snapshotTap) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh, p.goOn = 0, 0
}
