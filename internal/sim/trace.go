// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// A trace is what happened, in order.
type trace struct {
	mu     sync.Mutex // guards the fields below
	begin  time.Time
	events []event
	ids    map[string]string // short names for random ones
}

type event struct {
	at    time.Duration
	words []string
}

func newTrace() *trace {
	return &trace{begin: time.Now(), ids: map[string]string{}}
}

func (t *trace) note(words ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, event{time.Since(t.begin), words})
}

// plain returns a subject with the random ids in it replaced by the order in
// which they were seen.
func (t *trace) plain(subject string) string {
	tokens := strings.Split(subject, ".")
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, token := range tokens {
		if len(token) != 32 {
			continue
		}
		if t.ids[token] == "" {
			t.ids[token] = fmt.Sprintf("#%d", len(t.ids)+1)
		}
		tokens[i] = t.ids[token]
	}
	return strings.Join(tokens, ".")
}

// last returns the last n events as lines.
func (t *trace) last(n int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return lines(t.events[max(0, len(t.events)-n):])
}

// before returns the last n events until a promise was broken.
func (t *trace) before(n int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := 1 + slices.IndexFunc(t.events, func(e event) bool { return e.words[0] == "!!!" })
	return lines(t.events[max(0, end-n):end])
}

func lines(events []event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%14v %s\n", e.at, strings.Join(e.words, " "))
	}
	return b.String()
}

// sum is equal where the traces are.
func (t *trace) sum() uint64 {
	h := fnv.New64a()
	h.Write([]byte(t.last(math.MaxInt32)))
	return h.Sum64()
}
