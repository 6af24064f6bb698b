// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEverySystemCanDoItsWorkloads(t *testing.T) {
	for _, c := range cells(options{only: regexp.MustCompile("")}, 0) {
		if s, ok := systems[c.system]; !ok || !can(s, c.shape) {
			t.Errorf("%s: there is no such system, or it cannot", c)
		}
	}
}

func TestTargetsNameWorkloadsAndSystemsThatAreMeasured(t *testing.T) {
	all := map[string][]string{}
	for _, w := range workloads() {
		all[w.name] = w.systems
	}
	for _, target := range targets {
		if !slices.Contains(all[target.workload], target.who()) {
			t.Errorf("%s: nobody measures that", target)
		}
		other := target.beside
		switch {
		case strings.Contains(other, "/") && all[other] == nil:
			t.Errorf("%s: there is no workload %s", target, other)
		case other != "" && !strings.Contains(other, "/") && !slices.Contains(all[target.workload], other):
			t.Errorf("%s: %s does not do it", target, other)
		}
		if columnOf(target.metric).title == target.metric {
			t.Errorf("%s: the metric %s has no column", target, target.metric)
		}
	}
}

func TestTheOrderTurnsWithTheRounds(t *testing.T) {
	a, b := workload{name: "a"}, workload{name: "b"}
	all := []cell{{a, "1"}, {a, "2"}, {a, "3"}, {b, "1"}, {b, "2"}}
	var order []string
	for _, c := range rotated(all, 1) {
		order = append(order, c.String())
	}
	if want := []string{"a/2", "a/3", "a/1", "b/2", "b/1"}; !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
}

func TestTheIntervalIsBetweenOrderedFigures(t *testing.T) {
	for _, c := range []struct{ n, low, high int }{
		{1, 1, 1}, {5, 1, 5}, {6, 1, 6}, {8, 1, 8}, {9, 2, 8}, {11, 2, 10}, {12, 3, 10}, {15, 4, 12}, {20, 6, 15},
	} {
		var figures []float64
		for i := range c.n {
			figures = append(figures, float64(c.n-i))
		}
		s := summarize(figures)
		if s.low != float64(c.low) || s.high != float64(c.high) || s.median != float64(c.n+1)/2 {
			t.Errorf("of 1 to %d: %v [%v, %v], want [%d, %d]", c.n, s.median, s.low, s.high, c.low, c.high)
		}
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	got := ratios(map[int]float64{0: 2, 1: 9, 2: 8}, map[int]float64{0: 1, 2: 2, 3: 5})
	if !slices.Equal(got, []float64{2, 4}) {
		t.Errorf("got %v", got)
	}
}

func TestAVerdictLooksAtTheWholeInterval(t *testing.T) {
	for _, c := range []struct {
		least     bool
		low, high float64
		n         int
		want      string
	}{
		{false, 0.9, 1, 9, "met"},
		{false, 0.9, 1.1, 9, "met, the interval reaches it"},
		{false, 1.1, 1.2, 9, "**not met**"},
		{true, 1, 1.2, 9, "met"},
		{true, 0.9, 1.1, 9, "met, the interval reaches it"},
		{true, 0.8, 0.9, 9, "**not met**"},
		{true, 0.9, 1.1, 5, "open"},
		{true, 1, 1.2, 1, "met"},
	} {
		if got := (target{limit: 1, least: c.least}).verdict(summary{low: c.low, high: c.high, n: c.n}); got != c.want {
			t.Errorf("at least %v, [%v, %v]: %q, want %q", c.least, c.low, c.high, got, c.want)
		}
	}
}

// measured has durabus twice as fast as raw, in three rounds.
func measured() *results {
	r := newResults(options{rounds: 3})
	for round := range 3 {
		for i, system := range []string{"raw", "durabus"} {
			for _, w := range workloads()[:6] {
				rate := float64((i + 1) * (round + 1) * 1000)
				r.add(cell{w, system}, round, metrics{"rate": rate, "p50": 1e6 / rate, "cpu": 5e5 / rate})
			}
		}
	}
	return r
}

func TestTheReportHasTargetsTablesAndRatios(t *testing.T) {
	text := measured().markdown()
	for _, want := range []string{
		"| 1. unary | unary/one-core/16: p50 µs of durabus ≤ 1.05 × raw | 0.50 [0.50, 0.50] | met (3 rounds, so their range) |",
		"### unary/64/16\n",
		"| durabus | 4000 [2000, 6000] | 250 | 125 [83.3, 250] | – |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in:\n%s", want, text)
		}
	}
}

func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results.json")
	r := measured()
	if err := r.write(name); err != nil {
		t.Fatal(err)
	}
	again, err := readResults(name)
	if err != nil {
		t.Fatal(err)
	}
	if again.markdown() != r.markdown() {
		t.Error("the report of what was read is another")
	}
}

func TestTheReportReplacesTheOneInTheDocument(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "performance.md")
	if err := os.WriteFile(name, []byte("before\n"+reportBegins+"old\n"+reportEnds+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := measured().writeDocument(name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	if !strings.HasPrefix(got, "before\n"+reportBegins) || !strings.HasSuffix(got, reportEnds+"after\n") || strings.Contains(got, "old\n") {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(got, "](performance-streams.svg)") || strings.Contains(got, "](performance-fanout.svg)") {
		t.Errorf("it shows other plots than that of the streams:\n%s", got)
	}
	if plots, _ := filepath.Glob(filepath.Join(folder, "*.svg")); len(plots) != 1 {
		t.Errorf("plots %q, want that of the streams", plots)
	}
}

func TestADocumentWithoutAPlaceForTheReportIsLeftAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(name, []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := measured().writeDocument(name); err == nil {
		t.Error("it was written")
	}
}

func TestOthersTimeIsWhatTheMachineWasBusyBeside(t *testing.T) {
	const stat = "cpu  100 10 20 4000 30 1 2 3 0 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n"
	if got := busyTime(stat); got != 136*tick {
		t.Errorf("busy for %v µs, want %v", got, 136*tick)
	}
	if got := busyTime(""); got != 0 {
		t.Errorf("busy for %v µs, want 0", got)
	}
}
