// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// A column is a metric in the tables.
type column struct {
	metric, title string
	logged        bool
}

var columns = []column{
	{"deliveries", "deliveries/s", true},
	{"rate", "per s", true},
	{"p50", "p50 µs", true},
	{"p99", "p99 µs", false},
	{"cpu", "CPU µs", true},
	{"cpu.client", "CPU client", false},
	{"cpu.server", "CPU server", false},
	{"cpu.broker", "CPU broker", false},
	{"allocs.client", "allocs client", false},
	{"allocs.server", "allocs server", false},
	{"rss.server", "B of server", true},
	{"rss.client", "B of client", true},
	{"rss.broker", "B of broker", true},
	{"slope.server", "slope server", false},
	{"slope.client", "slope client", false},
	{"slope.broker", "slope broker", false},
	{"away", "broker away ms", true},
	{"first", "first ms", true},
	{"last", "last ms", true},
	{"tried", "attempts", true},
	{"foreign", "others' CPU %", true},
}

func columnOf(metric string) column {
	for _, c := range columns {
		if c.metric == metric {
			return c
		}
	}
	return column{metric: metric, title: metric}
}

// primary is the metric that a shape is about.
func (w workload) primary() string {
	switch w.shape {
	case "unary":
		if w.oneCore {
			return "p50"
		}
		return "rate"
	case "sparse":
		return "p50"
	case "fanout":
		return "deliveries"
	case "idle":
		return "rss.server"
	case "recovery":
		return "last"
	case "outage":
		return "tried"
	}
	return "rate"
}

// markdown is the whole report.
func (r *results) markdown() string {
	var b strings.Builder
	r.heading(&b)
	r.verdicts(&b)
	for _, w := range workloads() {
		if done := r.systems(w); len(done) > 0 {
			r.table(&b, w, done)
		}
	}
	return b.String()
}

func (r *results) heading(b *strings.Builder) {
	fmt.Fprintf(b, "Measured on %s: %d × %s, %s; ", r.Began.Format("2006-01-02 15:04 MST"), r.CPUs, r.Machine, r.Go)
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Modules)) {
		versions = append(versions, name[strings.Index(name, "/")+1:]+" "+r.Modules[name])
	}
	fmt.Fprintf(b, "%s. %d rounds, about %v a measurement.\n", strings.Join(versions, ", "), r.Rounds, r.Span)
	if r.Quick {
		b.WriteString("\n**A quick run: the figures show that the comparison works, and nothing else.**\n")
	}
}

func (r *results) verdicts(b *strings.Builder) {
	group := ""
	for _, t := range targets {
		figures := t.figures(r)
		if len(figures) == 0 {
			continue
		}
		if group == "" {
			b.WriteString("\n### Targets\n\n| | target | measured [95% interval] | |\n| --- | --- | --- | --- |\n")
		}
		s := summarize(figures)
		label := t.group
		if label == group {
			label = ""
		}
		group = t.group
		fmt.Fprintf(b, "| %s | %s | %s | %s%s |\n", label, t, interval(s), t.verdict(s), doubt(s))
	}
}

// doubt says that there are too few rounds for an interval.
func doubt(s summary) string {
	if s.n < fewest {
		return fmt.Sprintf(" (%d rounds, so their range)", s.n)
	}
	return ""
}

func (r *results) table(b *strings.Builder, w workload, systems []string) {
	var shown []column
	for _, c := range columns {
		has := func(s string) bool { return len(r.values(w.name, s, c.metric)) > 0 }
		if slices.ContainsFunc(systems, has) {
			shown = append(shown, c)
		}
	}
	fmt.Fprintf(b, "\n### %s\n\n| |", w.name)
	for _, c := range shown {
		fmt.Fprintf(b, " %s |", c.title)
	}
	fmt.Fprintf(b, " durabus ÷ this (%s) |\n|%s\n", columnOf(w.primary()).title, strings.Repeat(" --- |", len(shown)+2))
	own := r.values(w.name, "durabus", w.primary())
	for _, s := range systems {
		fmt.Fprintf(b, "| %s |", s)
		for _, c := range shown {
			fmt.Fprintf(b, " %s |", r.entry(w, s, c))
		}
		ratio := "–"
		if all := ratios(own, r.values(w.name, s, w.primary())); len(all) > 0 && s != "durabus" {
			ratio = interval(summarize(all))
		}
		fmt.Fprintf(b, " %s |\n", ratio)
	}
}

// entry is a median; that of the metric that the workload is about has the range.
func (r *results) entry(w workload, system string, c column) string {
	figures := r.values(w.name, system, c.metric)
	if len(figures) == 0 {
		return "–"
	}
	s := summarize(slices.Collect(maps.Values(figures)))
	if c.metric == w.primary() || c.metric == "cpu" {
		return fmt.Sprintf("%s [%s, %s]", figure(s.median), figure(s.min), figure(s.max))
	}
	return figure(s.median)
}

func interval(s summary) string {
	return fmt.Sprintf("%s [%s, %s]", figure(s.median), figure(s.low), figure(s.high))
}

// figure has three digits.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return digits(v/1e6) + "M"
	case a >= 1e4:
		return digits(v/1e3) + "k"
	}
	return digits(v)
}

func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
