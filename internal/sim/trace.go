// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"sync"
	"time"
)

// A trace is what happened, in order. Nearly all of them are never read: an event
// is kept as it is noted, and becomes a line when somebody reads it.
type trace struct {
	mu     sync.Mutex // guards the fields below
	begin  time.Time
	blocks [][]event // all are full but the last
}

// An event is what somebody did: of a message, its subject and size; of anything
// else, with what.
type event struct {
	at        time.Duration
	who, what string
	subject   string // of a message
	size      int
	with      []any // never changes any more
}

// block is how many events are allocated together.
const block = 256

func newTrace() *trace { return &trace{begin: time.Now()} }

func (t *trace) note(who, what string, with ...any) { t.add(event{who: who, what: what, with: with}) }

// message notes what became of a message.
func (t *trace) message(who, what, subject string, size int) {
	t.add(event{who: who, what: what, subject: subject, size: size})
}

func (t *trace) add(e event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.at = time.Since(t.begin)
	last := len(t.blocks) - 1
	if last < 0 || len(t.blocks[last]) == block {
		t.blocks = append(t.blocks, make([]event, 0, block))
		last++
	}
	t.blocks[last] = append(t.blocks[last], e)
}

// last writes the last n events as lines.
func (t *trace) last(to io.Writer, n int) { t.write(to, n, func(event) bool { return false }) }

// before writes the last n events until a promise was broken, and it.
func (t *trace) before(to io.Writer, n int) {
	t.write(to, n, func(e event) bool { return e.what == broken })
}

// broken is what is noted of a promise.
const broken = "!!!"

// write writes the last n events until the first that is the end.
func (t *trace) write(to io.Writer, n int, end func(event) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := 0
	for e := range t.events {
		all++
		if end(e) {
			break
		}
	}
	ids, at := map[string]int{}, 0
	for e := range t.events {
		line := e.line(ids)
		if at++; at > all-n {
			_, _ = io.WriteString(to, line)
		}
		if at == all {
			return
		}
	}
}

func (t *trace) events(yield func(event) bool) {
	for _, b := range t.blocks {
		for _, e := range b {
			if !yield(e) {
				return
			}
		}
	}
}

// line returns the event as a line. The random ids in a subject are numbered in
// the order in which they are seen.
func (e event) line(ids map[string]int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%14v %s %s", e.at, e.who, e.what)
	if e.subject != "" {
		tokens := strings.Split(e.subject, ".")
		for i, token := range tokens {
			if len(token) != 32 {
				continue
			}
			if ids[token] == 0 {
				ids[token] = len(ids) + 1
			}
			tokens[i] = fmt.Sprint("#", ids[token])
		}
		fmt.Fprint(&b, " ", strings.Join(tokens, "."), " ", e.size)
	}
	for _, with := range e.with {
		fmt.Fprint(&b, " ", with)
	}
	b.WriteByte('\n')
	return b.String()
}

// sum is equal where the traces are.
func (t *trace) sum() uint64 {
	h := fnv.New64a()
	t.last(h, 1<<62)
	return h.Sum64()
}
