// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"
)

// How much of it the load measures in earnest, and to see that it works.
const (
	loadRounds = 3
	loadSpan   = 800 * time.Millisecond
	siegePairs = 1 // in each round
)

// An endurance is what -load measures.
type endurance struct {
	ctx    context.Context
	opts   options
	began  time.Time
	report *results // for its heading
	table  strings.Builder
	judged []string
}

// underLoad measures what a bus does that is offered more than it carries, and how
// much that is. Its report is Markdown.
func underLoad(ctx context.Context, o options) (string, error) {
	o.rounds, o.span = loadRounds, loadSpan
	if o.quick {
		o.rounds, o.span = 1, 200*time.Millisecond
	}
	e := &endurance{ctx: ctx, opts: o, began: time.Now(), report: newResults(o)}
	maps.DeleteFunc(e.report.Modules, func(name, _ string) bool { return !strings.Contains(name, "nats-io") }) // no rivals here
	for _, part := range []struct {
		name string
		do   func() error
	}{{"overload", e.overloads}, {"flood", e.sieges}, {"capacity", e.capacities}} {
		if !o.only.MatchString("load/" + part.name) {
			continue
		}
		if err := part.do(); err != nil {
			return "", fmt.Errorf("%s: %w", part.name, err)
		}
	}
	var b strings.Builder
	e.report.heading(&b)
	if len(e.judged) > 0 {
		b.WriteString("\n| Must hold | measured | |\n| --- | --- | --- |\n" + strings.Join(e.judged, ""))
	}
	return b.String() + e.table.String(), nil
}

// tell says how far it has come.
func (e *endurance) tell(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(e.began).Seconds(), fmt.Sprintf(format, args...))
}

// judge holds a figure against what it must be.
func (e *endurance) judge(what string, figure string, holds bool) {
	verdict := "met"
	if !holds {
		verdict = "**not met**"
	}
	e.judged = append(e.judged, fmt.Sprintf("| %s | %s | %s |\n", what, figure, verdict))
}

// median of one figure over the rounds.
func median[T any](all []T, of func(T) float64) float64 {
	var figures []float64
	for _, one := range all {
		figures = append(figures, of(one))
	}
	return summarize(figures).median
}

var outcomeColumns = []string{"goodput %", "answered %", "p50", "p99", "busy %", "busy p99", "failed %", "sent for each"}

func (e *endurance) overloads() error {
	rounds := map[string][][]outcome{} // of each station, by its offers
	for round := range e.opts.rounds {
		for _, st := range stations {
			all, err := st.overload(e.ctx, e.opts.span)
			if err != nil {
				return err
			}
			if rounds[st.name] == nil {
				rounds[st.name] = make([][]outcome, len(all))
			}
			var text []string
			for i, o := range all {
				rounds[st.name][i] = append(rounds[st.name][i], o)
				text = append(text, fmt.Sprintf("%v× %s%%", st.offers[i].times, figure(outcomes["goodput %"](o))))
			}
			e.tell("overload %d of %d: %s: goodput at %s", round+1, e.opts.rounds, st.name, strings.Join(text, ", "))
		}
	}
	b := &e.table
	b.WriteString("\n### Overload\n\n| Responders | carry, calls/s | offered | goodput % | answered % | p50 ms | p99 ms | busy % | busy p99 ms | failed % | requests for each call |\n| --- |" + strings.Repeat(" --- |", 10) + "\n")
	for i, st := range stations {
		worst, slowest := 1000.0, 0.0
		for k, of := range rounds[st.name] {
			offer := fmt.Sprintf("%v ×", st.offers[k].times)
			if n := st.offers[k].again; n > 0 {
				offer += fmt.Sprintf(", busy calls tried %d times more", n)
			}
			name := st.name
			if k > 0 {
				name = ""
			}
			fmt.Fprintf(b, "| %s | %s | %s |", name, figure(median(of, func(o outcome) float64 { return o.carried })), offer)
			for _, c := range outcomeColumns {
				fmt.Fprintf(b, " %s |", figure(median(of, outcomes[c])))
			}
			b.WriteString("\n")
			worst, slowest = min(worst, median(of, outcomes["goodput %"])), max(slowest, median(of, outcomes["busy p99"]))
		}
		if i == 0 || len(st.responders) == 2 && st.nominal == 4000 {
			e.judge(st.name+": goodput ≥ 90% of what the handlers carry, at every offer", figure(worst)+"% at worst", worst >= 90)
			e.judge(st.name+": p99 of busy < 50 ms", figure(slowest)+" ms at most", slowest < 50)
		}
	}
	return nil
}

func (e *endurance) sieges() error {
	all := sieges()
	seen := make([][]besieged, len(all))
	for round := range e.opts.rounds {
		for i, g := range all {
			some, err := g.pressed(e.ctx, e.opts.span, siegePairs)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", g.flood.Flood, g.setting, err)
			}
			seen[i] = append(seen[i], some...)
			e.tell("flood %d of %d: %s, %s: p50 × %s", round+1, e.opts.rounds, g.flood.Flood, g.setting, figure(median(some, besieged.ratio)))
		}
	}
	b := &e.table
	b.WriteString("\n### A flooding client\n\n| Flood of | served | flood, per s | refused as busy, per s | p50 ms without | with | × | p99 ms without | with | calls that failed % | responders' RSS MiB |\n| --- |" + strings.Repeat(" --- |", 10) + "\n")
	for i, g := range all {
		fmt.Fprintf(b, "| %s | %s |", g.flood.Flood, g.setting)
		for _, of := range []func(besieged) float64{
			func(b besieged) float64 { return b.flood.N / b.flood.Elapsed.Seconds() },
			func(b besieged) float64 { return b.flood.Busy / b.flood.Elapsed.Seconds() },
			func(b besieged) float64 { return float64(b.quiet.P50) / 1e6 },
			func(b besieged) float64 { return float64(b.flooded.P50) / 1e6 },
			besieged.ratio,
			func(b besieged) float64 { return float64(b.quiet.P99) / 1e6 },
			func(b besieged) float64 { return float64(b.flooded.P99) / 1e6 },
			func(b besieged) float64 { return 100 * (b.flooded.Failed + b.flooded.Busy) / b.flooded.Made },
			func(b besieged) float64 { return b.held / (1 << 20) },
		} {
			fmt.Fprintf(b, " %s |", figure(median(seen[i], of)))
		}
		b.WriteString("\n")
		if g.setting == setAlike {
			continue
		}
		ratio := median(seen[i], besieged.ratio)
		e.judge(fmt.Sprintf("flood of %s, served %s: another's p50 ≤ 3 ×", g.flood.Flood, g.setting), figure(ratio)+" ×", ratio <= 3)
	}
	return nil
}

func (e *endurance) capacities() error {
	for i, q := range capacities() {
		if e.opts.quick {
			q.steps = q.steps[:1]
		}
		steps, err := q.find(e.ctx, e.tell)
		if err != nil {
			return err
		}
		if i == 0 {
			e.table.WriteString("\n### What this machine carries\n")
		}
		e.table.WriteString("\n" + q.markdown(steps))
	}
	return nil
}
