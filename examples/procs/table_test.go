// SPDX-License-Identifier: Apache-2.0

package procs_test

import (
	"reflect"
	"testing"

	"github.com/durabus/durabus/examples/procs"
)

func line(pid int32, name string) procs.Process {
	return procs.Process{PID: pid, Parent: 1, Name: name}
}

func table(seq uint64, lines ...procs.Process) procs.Table {
	return procs.Table{Seq: seq, Processes: lines}
}

func TestAnUpdateLeadsToTheNextTable(t *testing.T) {
	busy := line(5, "five")
	busy.CPU = 1000
	for _, c := range []struct {
		name   string
		before procs.Table
		update procs.Update
		after  procs.Table
	}{
		{
			"the first processes, in any order", table(0),
			procs.Update{Seq: 1, Started: []procs.Process{line(9, "nine"), line(2, "two")}},
			table(1, line(2, "two"), line(9, "nine")),
		},
		{
			"a start before, between and behind", table(1, line(2, "two"), line(5, "five")),
			procs.Update{Seq: 2, Started: []procs.Process{line(1, "one"), line(3, "three"), line(9, "nine")}},
			table(2, line(1, "one"), line(2, "two"), line(3, "three"), line(5, "five"), line(9, "nine")),
		},
		{
			"an exit", table(1, line(2, "two"), line(5, "five")),
			procs.Update{Seq: 2, Exited: []int32{2}},
			table(2, line(5, "five")),
		},
		{
			"exits of all", table(1, line(2, "two"), line(5, "five")),
			procs.Update{Seq: 2, Exited: []int32{5, 2}},
			table(2),
		},
		{
			"a change", table(1, line(2, "two"), line(5, "five")),
			procs.Update{Seq: 2, Changed: []procs.Process{busy}},
			table(2, line(2, "two"), busy),
		},
		{
			"a PID that is used again", table(1, line(2, "two"), line(5, "five")),
			procs.Update{Seq: 2, Exited: []int32{2}, Started: []procs.Process{line(2, "another")}},
			table(2, line(2, "another"), line(5, "five")),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.before.Digests()
			after := c.before.Apply(c.update)
			if after.Seq != c.after.Seq || len(after.Processes) != len(c.after.Processes) ||
				len(after.Processes) > 0 && !reflect.DeepEqual(after, c.after) {
				t.Errorf("got  %+v\nwant %+v", after, c.after)
			}
			if !reflect.DeepEqual(c.before.Digests(), before) {
				t.Error("Apply changed the table it was given")
			}
			if v1 := c.before.V1().Apply(c.update.V1()).Model(); v1.Digests()[1] != after.Digests()[1] {
				t.Errorf("version 1 came to another table: %+v", v1)
			}
		})
	}
}

func TestTheDigestTellsTablesApartByWhatTheVersionHas(t *testing.T) {
	base := table(7, line(2, "two"), line(5, "five"))
	used := table(7, line(2, "two"), line(5, "five"))
	used.Processes[1].Resident = 4096
	for _, c := range []struct {
		name   string
		other  procs.Table
		v1, v2 bool // that the digest is the same
	}{
		{"itself", base, true, true},
		{"by way of version 1", base.V1().Model(), true, true},
		{"another sequence number", table(8, base.Processes...), false, false},
		{"another name", table(7, line(2, "two"), line(5, "5")), false, false},
		{"one process fewer", table(7, line(2, "two")), false, false},
		{"what only version 2 has", used, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, want := c.other.Digests(), base.Digests()
			if same := got[1] == want[1]; same != c.v1 {
				t.Errorf("version 1 says same=%t", same)
			}
			if same := got[2] == want[2]; same != c.v2 {
				t.Errorf("version 2 says same=%t", same)
			}
		})
	}
}

func TestAnEmptyListHasTheDigestOfNone(t *testing.T) {
	none, empty := procs.Table{Seq: 1}, table(1, []procs.Process{}...)
	if !reflect.DeepEqual(none.Digests(), empty.Digests()) {
		t.Error("they differ, but JSON cannot tell them apart on the way")
	}
}
