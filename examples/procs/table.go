// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"cmp"
	"slices"
)

// A Table is every process of a machine, by ascending PID, after Seq updates.
// Tables are values: nothing changes one once it is made.
type Table struct {
	Seq       uint64    `json:"seq"`
	Processes []Process `json:"processes"`
}

// An Update leads to the table at Seq. A PID that was used again exited and
// started in one update.
type Update struct {
	Seq     uint64    `json:"seq"`
	Exited  []int32   `json:"exited,omitempty"`
	Started []Process `json:"started,omitempty"`
	Changed []Process `json:"changed,omitempty"` // as they are now
}

// Len is the number of processes that started, exited or changed.
func (u Update) Len() int { return len(u.Started) + len(u.Exited) + len(u.Changed) }

// Apply returns the table that u leads to from t.
func (t Table) Apply(u Update) Table {
	return Table{u.Seq, replace(t.Processes, u.Exited, u.Started, u.Changed, pid)}
}

func pid(p Process) int32 { return p.PID }

// replace returns lines, which are sorted by key, without those that exited and
// with the other two lists put in their places. It serves all versions.
func replace[P any](lines []P, exited []int32, started, changed []P, key func(P) int32) []P {
	byKey := func(a, b P) int { return cmp.Compare(key(a), key(b)) }
	put := slices.Concat(started, changed)
	slices.SortFunc(put, byKey)
	gone := slices.Sorted(slices.Values(exited))

	out := make([]P, 0, len(lines)+len(started))
	for _, p := range lines {
		for len(put) > 0 && key(put[0]) < key(p) {
			out, put = append(out, put[0]), put[1:]
		}
		if len(put) > 0 && key(put[0]) == key(p) {
			continue // the new line comes in its place
		}
		if _, found := slices.BinarySearch(gone, key(p)); !found {
			out = append(out, p)
		}
	}
	return append(out, put...)
}
