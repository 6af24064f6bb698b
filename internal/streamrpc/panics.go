// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// maxPanics is how many panics of merges and conversions are logged in a minute, as
// callers may provoke them by opening streams.
const maxPanics = 4

// Panics are those of this process.
var panics panicLog

type panicLog struct {
	mu     sync.Mutex // guards the fields below
	since  time.Time  // a minute began
	logged int        // in it
	left   uint64     // out, since one was logged
}

// log logs a panic with the trace of its goroutine, which calls, unless the log has
// enough of them.
func (p *panicLog) log(value any) {
	left, ok := p.mayLog(time.Now())
	if ok {
		slog.Error("durabus: a merge or a conversion of updates panicked; the panic goes on in their reader",
			"panic", fmt.Sprint(value), "left_out", left, "stack", string(debug.Stack()))
	}
}

func (p *panicLog) mayLog(now time.Time) (left uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := now.Sub(p.since); d >= time.Minute || d < 0 {
		p.since, p.logged = now, 0
	}
	if p.logged == maxPanics {
		p.left++
		return 0, false
	}
	p.logged++
	left, p.left = p.left, 0
	return left, true
}
