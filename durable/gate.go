// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// openings is shared by all the streams of the process, for those that are opened
// and those that are taken up again.
var openings = gate{limit: 64, patience: 10 * time.Second}

// A gate admits a limited number at a time. Who stays longer than its patience no
// longer counts, so that openings which hang do not keep out all others.
//
// Who has to wait asks again after a while; nobody wakes it. Goroutines of two
// synctest bubbles must not wake one another, and one that waits for a channel
// from outside its bubble stops the bubble's clock. The pause grows with the
// number that wait, so that all of them together ask some forty thousand times
// a second, however many they are: ten thousand are through in half a second.
type gate struct {
	limit    int64
	patience time.Duration
	inside   atomic.Int64
	waiting  atomic.Int64
}

// askEvery is how long one of a crowd pauses for each of the others, at most.
const askEvery = 50 * time.Microsecond

// enter waits for admission, which leave ends. It reports false if ctx was done
// first.
func (g *gate) enter(ctx context.Context) (leave func(), ok bool) {
	if leave, ok = g.admit(); ok {
		return leave, true
	}
	defer g.waiting.Add(-1)
	pause := time.NewTimer(pauseIn(g.waiting.Add(1))) // one for all pauses: a crowd makes many
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, false
		}
		if leave, ok = g.admit(); ok {
			return leave, true
		}
		pause.Reset(pauseIn(g.waiting.Load()))
	}
}

// pauseIn is how long one of a crowd waits before it asks again.
func pauseIn(crowd int64) time.Duration {
	return rand.N(max(time.Millisecond, time.Duration(crowd)*askEvery))
}

func (g *gate) admit() (leave func(), ok bool) {
	if g.inside.Add(1) > g.limit {
		g.inside.Add(-1)
		return nil, false
	}
	overdue := time.AfterFunc(g.patience, func() { g.inside.Add(-1) })
	return func() {
		if overdue.Stop() {
			g.inside.Add(-1)
		}
	}, true
}
