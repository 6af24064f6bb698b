// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// features is how many the catalogue has, numbered from F001.
const features = 311

var (
	feature   = regexp.MustCompile(`^F\d{3}$`)
	scenario  = regexp.MustCompile(`^S\d{3}$`)
	scenarios = regexp.MustCompile(`^S\d{3}( S\d{3})*$`)
	quoted    = regexp.MustCompile("`([^`]+)`")
)

// A row is a feature, what became of it and the tests that show it; or a
// scenario without a test of its number, and the tests of what happens instead.
// A line may be about several scenarios.
type row struct {
	number string
	fate   string // the key in fates
	tests  []string
}

// fates are what may have become of a feature, by the word its cell begins with;
// one that is here begins with what it is.
var fates = []struct{ word, title string }{
	{"", "here"},
	{"Differently", "done differently"},
	{"Meaningless", "meaningless on NATS"},
	{"Not yet", "not yet"},
}

type document struct {
	features  []row
	scenarios []row // without a test of their numbers
	malformed []string
}

func parseDocument(text string) (d document) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		number := strings.TrimSpace(cells[0])
		switch {
		case scenarios.MatchString(number):
			for _, n := range strings.Fields(number) {
				d.scenarios = append(d.scenarios, row{n, fateOf(cells[1]), testsOf(cells[len(cells)-1])})
			}
		case !feature.MatchString(number):
		case len(cells) != 4:
			d.malformed = append(d.malformed, fmt.Sprintf("%s: %d cells, want 4", number, len(cells)))
		default:
			d.features = append(d.features, row{number, fateOf(cells[2]), testsOf(cells[3])})
		}
	}
	return d
}

func fateOf(cell string) string {
	for _, f := range fates[1:] {
		if strings.HasPrefix(strings.TrimSpace(cell), f.word) {
			return f.word
		}
	}
	return ""
}

func testsOf(cell string) (tests []string) {
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		tests = append(tests, m[1])
	}
	return tests
}

// check returns what is wrong in the document after a run.
func (d document) check(r results) (wrong []string) {
	wrong = slices.Clone(d.malformed)
	for i := range features {
		number := fmt.Sprintf("F%03d", i+1)
		if n := count(d.features, func(f row) bool { return f.number == number }); n != 1 {
			wrong = append(wrong, fmt.Sprintf("%s: %d rows, want 1", number, n))
		}
	}
	for _, row := range slices.Concat(d.features, d.scenarios) {
		if row.fate == "" && len(row.tests) == 0 && feature.MatchString(row.number) {
			wrong = append(wrong, row.number+": it is said to be here, but no test is named that shows it")
		}
		for _, ref := range row.tests {
			if !r.show(ref) {
				wrong = append(wrong, fmt.Sprintf("%s: %s did not pass in this run, or does not exist", row.number, ref))
			}
		}
		if r.scenarios[row.number] {
			wrong = append(wrong, row.number+": it is said to have no test, but one passed")
		}
	}
	return wrong
}

func count(rows []row, is func(row) bool) (n int) {
	for _, r := range rows {
		if is(r) {
			n++
		}
	}
	return n
}

// counts are the lines that the document has of a run.
func (d document) counts(r results) string {
	var parts []string
	for _, f := range fates {
		parts = append(parts, fmt.Sprintf("%d %s", count(d.features, func(row row) bool { return row.fate == f.word }), f.title))
	}
	numbers := slices.Sorted(maps.Keys(r.scenarios))
	notYet := count(d.scenarios, func(s row) bool { return s.fate != "" })
	return fmt.Sprintf("Features: %d of %d: %s.\n\nScenarios: %d shown by tests of their numbers that passed (%s); %d without, "+
		"of which %d not yet, listed at the end.\n",
		len(d.features), features, strings.Join(parts, ", "), len(numbers), strings.Join(numbers, " "), len(d.scenarios), notYet)
}

const (
	countsBegin = "<!-- counts -->\n"
	countsEnd   = "<!-- end of counts -->\n"
)

// withCounts returns the document with lines between its two marks.
func withCounts(text []byte, lines string) []byte {
	before, rest, found := strings.Cut(string(text), countsBegin)
	_, after, closed := strings.Cut(rest, countsEnd)
	if !found || !closed {
		return slices.Concat(text, []byte(countsBegin+lines+countsEnd))
	}
	return []byte(before + countsBegin + lines + countsEnd + after)
}
