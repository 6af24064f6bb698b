// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/flow"
)

// A tap sees all requests on their way from callers to the cluster. A
// subscription to their subjects would be a responder to the broker, which then
// told no caller that there is none.
type tap struct {
	mu       sync.Mutex
	requests map[string]time.Time // when the first came, by subject
	began    map[int]time.Time    // when the first instance of a version began to serve
}

func newTap() *tap { return &tap{requests: map[string]time.Time{}, began: map[int]time.Time{}} }

func (t *tap) see(op *broker.Op) broker.Verdict {
	if op.IsMessage() && op.Direction == broker.ToServer && strings.HasPrefix(op.Subject, "roll.") {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, ok := t.requests[op.Subject]; !ok {
			t.requests[op.Subject] = time.Now()
		}
	}
	return broker.Pass
}

func (t *tap) served(versions []int, began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range versions {
		if _, ok := t.began[v]; !ok {
			t.began[v] = began
		}
	}
}

// early returns the subjects on which a request came before anybody served them.
func (t *tap) early() (subjects []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for subject, at := range t.requests {
		v, _ := strconv.Atoi(subject[strings.LastIndex(subject, "v")+1:])
		if began, ok := t.began[v]; !ok || at.Before(began) {
			subjects = append(subjects, subject)
		}
	}
	return subjects
}

// recovered notes that a replica has a stream again, which it lost at a time.
func (r *rolling) recovered(from string, lost time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.deaths {
		if d.instance == from {
			lost = d.at
		}
	}
	r.stale = max(r.stale, time.Since(lost))
	r.reopened++
}

// ended notes how a stream ended or was refused.
func (r *rolling) ended(what string, err error) {
	code := err.Error()
	if e, ok := errors.AsType[*bus.Error](err); ok {
		code = string(e.Code)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends[what+": "+code]++
}

// deathBound is when the last state of a killed responder is there again: the
// broker's word, the longest first wait of a durable stream, and opening.
const deathBound = flow.UnheardBound + time.Second

// finish ends the callers, holds what happened against what was promised, and
// prints it.
func (r *rolling) finish() {
	r.t.Helper()
	for r.compared < 100 {
		r.sample(1)
	}
	for _, c := range r.releases {
		for _, b := range c.books {
			eventually(r.t, "replicas that follow a source", func() bool { return b.compare(r.t) })
		}
		c.leave()
	}
	r.print()
	r.checkCalls()
	for _, subject := range r.tap.early() {
		r.t.Errorf("a request on %s before anybody served that", subject)
	}
	for end := range r.ends {
		allowed := end == "lost: "+string(bus.Draining)
		if r.kill {
			allowed = end == "lost: "+string(bus.Gone) || strings.HasPrefix(end, "refused: ")
		}
		if !allowed {
			r.t.Errorf("%d streams: %s", r.ends[end], end)
		}
	}
	if r.stale > leniency*deathBound {
		r.t.Errorf("a replica was stale for %v", r.stale)
	}
}

// checkCalls holds the outcomes against what was carried out.
func (r *rolling) checkCalls() {
	ran := r.carriedOut()
	for n, times := range ran {
		if times > 1 {
			r.t.Errorf("payment %d was carried out %d times", n, times)
		}
	}
	for _, o := range r.outcomes {
		switch {
		case o.err != nil && !r.mayFail(o):
			r.t.Errorf("call %d, begun %v before: %v", o.number, o.over.Sub(o.begin), o.err)
		case o.err == nil && o.once && ran[o.number] != 1:
			r.t.Errorf("payment %d was answered and carried out %d times", o.number, ran[o.number])
		}
	}
}

// mayFail reports whether o was in flight when a responder was killed.
func (r *rolling) mayFail(o outcome) bool {
	if !errors.Is(o.err, bus.Gone) && !errors.Is(o.err, bus.NoAnswer) {
		return false
	}
	for _, d := range r.deaths {
		if o.begin.Before(d.over) && o.over.After(d.at) {
			return true
		}
	}
	return false
}

// carriedOut returns how often each payment was carried out.
func (r *rolling) carriedOut() map[int]int {
	ran := map[int]int{}
	files, err := filepath.Glob(filepath.Join(r.tally, "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		for ; len(b) >= 8; b = b[8:] {
			ran[int(binary.BigEndian.Uint64(b))]++
		}
	}
	return ran
}

// print prints the table of what happened.
func (r *rolling) print() {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-34s %8s %8s %8s %8s %8s %10s\n", "until", "took", "at v1", "at v2", "at v3", "failed", "slowest")
	from := r.began
	for _, s := range r.stages {
		var at [4]int
		var failed int
		var slowest time.Duration
		for _, o := range r.outcomes {
			if o.begin.Before(from) || !o.begin.Before(s.over) {
				continue
			}
			if at[o.version]++; o.err != nil {
				failed++
			}
			slowest = max(slowest, o.over.Sub(o.begin))
		}
		fmt.Fprintf(&b, "%-34s %8.1fs %7d %8d %8d %8d %10v\n", s.name, s.over.Sub(from).Seconds(), at[1], at[2], at[3], failed, slowest.Round(time.Millisecond))
		from = s.over
	}
	fmt.Fprintf(&b, "%d calls; %d comparisons with a source; streams %v, opened anew %d, stale for at most %v", len(r.outcomes), r.compared, r.ends, r.reopened, r.stale.Round(time.Millisecond))
	r.t.Log(b.String())
}
