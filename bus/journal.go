// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"log/slog"
	"sync"
)

// maxUnwritten is how many records wait for a handler of slog that is stuck. Those
// beyond are only counted by who writes them.
const maxUnwritten = 256

// A journal writes records in their order, by a goroutine that it has while there are
// any: who writes may hold locks, and a handler of slog may call the client or the
// server that it hears of.
type journal struct {
	mu      sync.Mutex // guards the fields below
	records []record
	idle    chan struct{} // closed when all is written; nil if nobody writes
}

type record struct {
	level slog.Level
	text  string
	attrs []any
}

func (j *journal) write(level slog.Level, text string, attrs ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.records) < maxUnwritten {
		j.records = append(j.records, record{level, text, attrs})
	}
	if j.idle == nil {
		j.idle = make(chan struct{})
		go j.run(j.idle)
	}
}

func (j *journal) run(idle chan struct{}) {
	defer close(idle)
	for {
		j.mu.Lock()
		all := j.records
		if j.records = nil; len(all) == 0 {
			j.idle = nil
			j.mu.Unlock()
			return
		}
		j.mu.Unlock()
		for _, r := range all {
			slog.Log(context.Background(), r.level, "durabus: "+r.text, r.attrs...)
		}
	}
}

// written waits until all is.
func (j *journal) written() {
	j.mu.Lock()
	idle := j.idle
	j.mu.Unlock()
	if idle != nil {
		<-idle
	}
}
