// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
)

// recovered notes that a replica has a stream again, which it lost at a time.
func (r *rolling) recovered(from string, lost time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.deaths {
		if d.instance == from {
			lost = d.at
		}
	}
	r.stale = append(r.stale, time.Since(lost))
}

// ended notes how a stream ended or was refused.
func (r *rolling) ended(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends[what+": "+codeOf(err)]++
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*bus.Error](err); ok {
		return string(e.Code)
	}
	return err.Error()
}

// How long a replica is stale at most. That of a killed responder: until it is
// known to be dead as its connection ended, the longest first wait of a durable
// stream, and opening. That of one that drained: opening elsewhere at once.
const (
	deathBound = flow.UnheardBound + time.Second
	drainBound = time.Second
)

// routed is how long nodes of the cluster may go on to send to a responder that each
// of them has heard is gone: it hears so of one subscription after the other.
const routed = 100 * time.Millisecond

// finish ends the callers, holds what happened against what was promised, and
// prints it.
func (r *rolling) finish() {
	r.t.Helper()
	for r.compared < 100 {
		r.sample(1)
	}
	for _, c := range r.releases {
		for _, b := range c.books {
			b.arrive(r.t)
		}
	}
	for _, c := range slices.Clone(r.releases) {
		r.leave(c)
	}
	r.print()
	r.checkLoad()
	r.checkCalls()
	r.checkStreams()
	r.tap.check(r.t)
}

// checkLoad sees to it that there was something to fail.
func (r *rolling) checkLoad() {
	length := r.stages[len(r.stages)-1].over.Sub(r.stages[0].over).Seconds()
	calls := float64(len(r.outcomes))
	if os.Getenv(rollLoad) != "" && calls/length < 0.75*float64(r.rate) {
		r.t.Errorf("%.0f calls/s, at least three quarters of %d are needed to show anything", calls/length, r.rate)
	}
	for _, v := range r.served {
		if !slices.ContainsFunc(r.outcomes, func(o outcome) bool { return o.version == v && o.err == nil }) {
			r.t.Errorf("no calls at version %d", v)
		}
	}
	if r.kill && r.inFlight() == 0 {
		r.t.Error("no call was in flight at a responder that was killed")
	}
}

// checkStreams holds how streams ended, and for how long they were away, against
// what may be.
func (r *rolling) checkStreams() {
	bound, ended := drainBound, bus.Draining
	if r.kill {
		bound, ended = deathBound, bus.Gone
	}
	for end := range r.ends {
		if end != "lost: "+string(ended) && !(r.kill && strings.HasPrefix(end, "refused: ")) {
			r.t.Errorf("%d streams: %s", r.ends[end], end)
		}
	}
	if os.Getenv(rollLoad) != "soak" { // much else may be running here
		bound *= leniency
	}
	if _, _, most := spread(r.stale); most > bound {
		r.t.Errorf("a replica was stale for %v, at most %v is promised", most, bound)
	}
	if len(r.stale) == 0 {
		r.t.Error("no stream moved")
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
			r.t.Errorf("call %d, begun %v before, and %v behind the last death before it: %v", o.number, o.over.Sub(o.begin), r.sinceDeath(o), o.err)
		case o.err == nil && o.once && ran[o.number] != 1:
			r.t.Errorf("payment %d was answered and carried out %d times", o.number, ran[o.number])
		}
	}
}

// sinceDeath is for how long all nodes knew of the last death when o began.
func (r *rolling) sinceDeath(o outcome) (least time.Duration) {
	least = time.Since(r.began)
	for _, d := range r.deaths {
		if since := o.begin.Sub(d.over); since > 0 {
			least = min(least, since)
		}
	}
	return least
}

// mayFail reports whether o was in flight at a responder when that was killed:
// the broker gave it to that one or, at that time, to nobody.
func (r *rolling) mayFail(o outcome) bool {
	if !errors.Is(o.err, bus.Gone) && !errors.Is(o.err, bus.NoAnswer) {
		return false
	}
	return slices.ContainsFunc(r.deaths, func(d death) bool {
		took := r.tap.took[o.number]
		return d.during(o) && (len(took) == 0 || slices.Contains(took, d.member))
	})
}

// during reports whether o was in flight anywhere.
func (d death) during(o outcome) bool {
	return o.begin.Before(d.over.Add(routed)) && o.over.After(d.at)
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
	fmt.Fprintf(&b, "\n%-34s %7s %7s %7s %7s %7s %7s %7s %7s %7s\n", "until", "took", "calls/s", "at v1", "at v2", "at v3", "failed", "p50", "p99", "most")
	from := r.began
	for _, s := range r.stages {
		var at [4]int
		var failed int
		var took []time.Duration
		for _, o := range r.outcomes {
			if o.begin.Before(from) || !o.begin.Before(s.over) {
				continue
			}
			if at[o.version]++; o.err != nil {
				failed++
			}
			took = append(took, o.over.Sub(o.begin))
		}
		length := s.over.Sub(from).Seconds()
		p50, p99, most := spread(took)
		fmt.Fprintf(&b, "%-34s %6.1fs %7.0f %7d %7d %7d %7d %7v %7v %7v\n", s.name, length, float64(len(took))/length, at[1], at[2], at[3], failed, p50, p99, most)
		from = s.over
	}
	failures := map[string]int{}
	for _, o := range r.outcomes {
		if o.err != nil {
			failures[codeOf(o.err)]++
		}
	}
	p50, p99, most := spread(r.stale)
	fmt.Fprintf(&b, "%d calls, failed: %v; %d comparisons with a source; streams %v; a state was back after %v (p50), %v (p99), %v (most)", len(r.outcomes), failures, r.compared, r.ends, p50, p99, most)
	if r.kill {
		fmt.Fprintf(&b, "; %d killed with %d calls in flight", len(r.deaths), r.inFlight())
	}
	r.t.Log(b.String())
}

// inFlight counts the calls that were at responders when those were killed.
func (r *rolling) inFlight() (n int) {
	for _, d := range r.deaths {
		for _, o := range r.outcomes {
			if d.during(o) && slices.Contains(r.tap.took[o.number], d.member) {
				n++
			}
		}
	}
	return n
}

// spread returns the middle, the 99th percentile and the most of ds, to the
// millisecond.
func spread(ds []time.Duration) (p50, p99, most time.Duration) {
	if len(ds) == 0 {
		return 0, 0, 0
	}
	slices.Sort(ds)
	at := func(i int) time.Duration { return ds[i].Round(time.Millisecond) }
	return at(len(ds) / 2), at(len(ds) * 99 / 100), at(len(ds) - 1)
}
