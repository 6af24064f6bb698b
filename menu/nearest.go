// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"cmp"
	"slices"
	"strings"
)

// Nearest returns at most n names of the menu that name may have been meant to
// be, the likeliest first.
func (m Menu) Nearest(name string, n int) []string {
	type candidate struct {
		name  string
		edits int
	}
	var cs []candidate
	for _, s := range m.Names() {
		if edits := distance(name, s); edits <= max(len(name), len(s))/2 {
			cs = append(cs, candidate{s, edits})
		}
	}
	slices.SortStableFunc(cs, func(a, b candidate) int { return cmp.Compare(a.edits, b.edits) })
	var names []string
	for _, c := range cs[:min(max(n, 0), len(cs))] {
		names = append(names, c.name)
	}
	return names
}

// distance is the number of bytes to insert, remove or replace, whatever their
// case, to turn a into b.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1) // from the first i bytes of a to each start of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
