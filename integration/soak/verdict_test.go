// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/durabus/durabus/bus"
)

// during reports whether at is within the event, after which the next one begins.
func (e event) during(at time.Time) bool { return !at.Before(e.begin) && at.Before(e.calm) }

// recovery is how long after e was mended a state that it interrupted had news
// again; after its begin, where it did not have to wait for that.
func (e event) recovery(h hole) time.Duration {
	if h.To.Before(e.over) {
		return h.To.Sub(later(h.From, e.begin))
	}
	return h.To.Sub(later(h.From, e.over))
}

// recoveries returns those of all states that e interrupted, and which took
// longest.
func (f *fleet) recoveries(e event) (took []time.Duration, worst hole) {
	longest := time.Duration(-1)
	for _, h := range f.holes {
		if !e.during(h.To) {
			continue
		}
		t := e.recovery(h)
		if took = append(took, t); t > longest {
			longest, worst = t, h
		}
	}
	return took, worst
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// allows reports whether calls may fail with a code because of e.
func (e event) allows(code bus.Code) bool {
	allowed := faulty
	if e.codes != nil {
		allowed = e.codes
	}
	return !e.harmless && slices.Contains(allowed, code)
}

// blamed returns the event that a call failed of: the one in which it began, or the
// one in which it ended if it began when the first was over, or has a code that is of
// the second alone.
func (f *fleet) blamed(c failure) int {
	i := len(f.events) - 1
	for i > 0 && c.Begin.Before(f.events[i].begin) {
		i--
	}
	e, next := f.events[i], i+1
	if next == len(f.events) || f.events[next].harmless || !c.Ended.After(f.events[next].begin) {
		return i
	}
	if e.harmless || c.Begin.After(e.over) || !e.allows(c.Code) && f.events[next].allows(c.Code) {
		return next
	}
	return i
}

// failed counts the calls that failed of each event, by code.
func (f *fleet) failed() []map[string]int {
	codes := make([]map[string]int, len(f.events))
	for i := range codes {
		codes[i] = map[string]int{}
	}
	for _, c := range f.failures {
		codes[f.blamed(c)][string(c.Code)]++
	}
	return codes
}

// judge holds what happened against what was promised.
func (f *fleet) judge() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		if took, worst := f.recoveries(e); len(took) > 0 && e.recovery(worst) > recoveryBound {
			f.t.Errorf("%s, %s: a state had news again after %v; the bound is %v: %+v", e.kind, e.what, e.recovery(worst), recoveryBound, worst)
		}
		for _, h := range f.holes {
			if e.harmless && h.Code != "" && h.Code != bus.Draining && e.during(h.From) && e.during(h.To) {
				f.t.Errorf("%s, %s: a state was lost: %s", e.kind, e.what, h.Code)
			}
		}
	}
	for _, c := range f.failures {
		f.judgeCall(c)
		if took := c.Ended.Sub(c.Begin); took > callBound {
			f.t.Errorf("call %d of caller %d failed after %v; the bound is %v", c.N, c.Caller, took, callBound)
		}
	}
	f.judgeStarts()
}

func (f *fleet) judgeCall(c failure) {
	e := f.events[f.blamed(c)]
	if !e.allows(c.Code) || c.Begin.After(f.calm) {
		f.t.Errorf("%s, %s: call %d of caller %d (version %d, begun %v after it) failed after %v: %s, %s",
			e.kind, e.what, c.N, c.Caller, c.Version, c.Begin.Sub(e.begin), c.Ended.Sub(c.Begin), c.Code, c.Message)
	}
}

// lateness is how long after its caller's deadline a handler may start that was
// on its way in time: what the rule in docs/protocol.md cannot tell from clocks
// that differ.
const lateness = time.Second

// judgeStarts holds the handlers that started against how their calls ended.
func (f *fleet) judgeStarts() {
	failed := map[callID]failure{}
	for _, c := range f.failures {
		failed[callID{c.Caller, c.N}] = c
	}
	for i, t := range f.ticks() {
		for n := uint64(1); n <= t.Calls; n++ {
			id := callID{i, n}
			started := f.starts[id]
			c, bad := failed[id]
			once := len(started) > 0 && started[0].version == onceRPC.Version
			switch {
			case once && len(started) > 1:
				f.t.Errorf("call %d of caller %d started %d times", n, i, len(started))
			case !bad && len(started) == 0:
				f.t.Errorf("call %d of caller %d was answered and never started", n, i)
			case bad && !c.MayHaveRun && len(started) > 0:
				f.t.Errorf("call %d of caller %d started, and failed as if it had not: %s, %s", n, i, c.Code, c.Message)
			}
			for _, s := range started {
				if late := time.Duration(s.at - s.deadline); s.deadline != 0 && late > lateness {
					f.t.Errorf("call %d of caller %d started %v after its deadline", n, i, late)
				}
			}
		}
		if t.Open > 0 {
			f.t.Errorf("%d calls of caller %d have not ended", t.Open, i)
		}
	}
}

// spread returns the middle, the 99th percentile and the most of ds.
func spread(ds []time.Duration) (p50, p99, most time.Duration) {
	if len(ds) == 0 {
		return 0, 0, 0
	}
	slices.Sort(ds)
	at := func(i int) time.Duration { return ds[i].Round(time.Millisecond) }
	return at(len(ds) / 2), at(len(ds) * 99 / 100), at(len(ds) - 1)
}

// progress is a line about the last event, as it ends.
func (f *fleet) progress() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := len(f.events) - 1
	e := f.events[last]
	took, worst := f.recoveries(e)
	p50, _, most := spread(took)
	line := fmt.Sprintf("%6.1f s  %s: %s; over after %v; %d states without news, again after %v (p50), %v (most); calls failed: %s",
		time.Since(f.began).Seconds(), e.kind, e.what, e.over.Sub(e.begin).Round(time.Millisecond), len(took), p50, most, list(f.failed()[last]))
	if most > slow {
		line += fmt.Sprintf("; the slowest was topic %d of caller %d: %v", worst.Topic, worst.Caller, worst.Tried)
	}
	return line
}

// slow is what a line tells the course of.
const slow = 3 * time.Second

// table is what a run has measured.
func (f *fleet) table(s scale, lasted time.Duration) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	length := lasted.Seconds()
	var sum tick
	for _, t := range f.ticks() {
		sum.Calls += t.Calls
		sum.Walked += t.Walked
		sum.Steps += t.Steps
		sum.Entries += t.Entries
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| Load held | for %.0f s |\n|---|---|\n", length)
	fmt.Fprintf(&b, "| calls | %d, %.0f/s; %d failed |\n", sum.Calls, float64(sum.Calls)/length, len(f.failures))
	fmt.Fprintf(&b, "| pipes with slow readers | %d open; %d read whole, %d ended with an error; %d elements, %.0f/s |\n",
		s.pipes*len(f.callers), sum.Walked, len(f.endings), sum.Steps, float64(sum.Steps)/length)
	fmt.Fprintf(&b, "| durable states | %d; %d updates checked, %.0f/s; without news %d times |\n", s.states, sum.Entries, float64(sum.Entries)/length, len(f.holes))
	fmt.Fprintf(&b, "| processors | %.0f%% of %d |\n", 100*(processors()-f.used).Seconds()/length/float64(runtime.NumCPU()), runtime.NumCPU())
	fmt.Fprintf(&b, "| lost silently, or otherwise not as promised | %d |\n", f.broken)
	b.WriteString("\n| Fault | Times | States without news | whose streams ended | news again after: p50 | p99 | most | Calls failed |\n|---|---|---|---|---|---|---|---|\n")
	failed := f.failed()
	for i := range faults {
		var times, ended int
		var took []time.Duration
		codes := map[string]int{}
		for k, e := range f.events {
			if e.fault != &faults[i] {
				continue
			}
			times++
			all, _ := f.recoveries(e)
			took = append(took, all...)
			for _, h := range f.holes {
				if h.Code != "" && e.during(h.To) {
					ended++
				}
			}
			for code, n := range failed[k] {
				codes[code] += n
			}
		}
		if times > 0 {
			p50, p99, most := spread(took)
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %v | %v | %v | %s |\n", faults[i].kind, times, len(took), ended, p50, p99, most, list(codes))
		}
	}
	return b.String()
}

// list names codes with their counts.
func list(codes map[string]int) string {
	var all []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		all = append(all, fmt.Sprintf("%s %d", code, codes[code]))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
