// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// openings is shared by all the streams of the process.
var openings = gate{limit: 64}

// A gate admits a limited number at a time.
//
// Who has to wait asks again after a while; nobody wakes it. Goroutines of two
// synctest bubbles must not wake one another, and one that waits for a channel
// from outside its bubble stops the bubble's clock. The pause grows with the
// number that wait, so that all of them together ask some two thousand times a
// second, however many they are.
type gate struct {
	limit   int64
	inside  atomic.Int64
	waiting atomic.Int64
}

// enter waits for admission, for which the caller owes a leave. It reports false
// if ctx was done first.
func (g *gate) enter(ctx context.Context) bool {
	if g.admit() {
		return true
	}
	defer g.waiting.Add(-1)
	for crowd := g.waiting.Add(1); ; crowd = g.waiting.Load() {
		pause := time.NewTimer(rand.N(time.Duration(crowd) * time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return false
		}
		if g.admit() {
			return true
		}
	}
}

func (g *gate) admit() bool {
	if g.inside.Add(1) <= g.limit {
		return true
	}
	g.inside.Add(-1)
	return false
}

func (g *gate) leave() { g.inside.Add(-1) }
