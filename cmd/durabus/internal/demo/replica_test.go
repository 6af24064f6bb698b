// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"errors"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/examples/procs"
)

func ps(pids ...int32) (lines []procs.Process) {
	for _, pid := range pids {
		lines = append(lines, procs.Process{PID: pid, Name: "p"})
	}
	return lines
}

func TestAReplicaFollowsEventsAndMeasuresHowLongItStoodStill(t *testing.T) {
	begin := time.Unix(0, 0)
	v1 := bus.Info{RPC: procs.ProcessesV1.Describe(), Instance: "A"}
	v2 := bus.Info{RPC: procs.ProcessesV2.Describe(), Instance: "B"}
	lost := errors.New("lost")
	var r replica
	for i, c := range []struct {
		at      time.Duration
		ev      event
		fresh   bool
		seq     uint64
		updates int
		still   time.Duration
	}{
		{5, event{Kind: durable.Attempting}, false, 0, 0, 0},
		{6, event{Kind: durable.Connected, Info: &v1}, false, 0, 0, 0},
		{6, event{Kind: durable.Snapshot, State: procs.Table{Seq: 7, Processes: ps(1, 2)}}, true, 7, 0, 0},
		{8, event{Kind: durable.Update, Update: procs.Update{Seq: 8, Started: ps(3, 4), Exited: []int32{1}}}, true, 8, 3, 2},
		{9, event{Kind: durable.Update, Update: procs.Update{Seq: 11, Changed: ps(4)}}, true, 11, 4, 2},
		{12, event{Kind: durable.Lost, Err: lost}, false, 11, 4, 2},
		{13, event{Kind: durable.FailedToConnect, Err: lost}, false, 11, 4, 2},
		{15, event{Kind: durable.Connected, Info: &v2}, false, 11, 4, 2},
		{15, event{Kind: durable.Snapshot, State: procs.Table{Seq: 3, Processes: ps(1)}}, true, 3, 0, 6},
		{16, event{Kind: durable.Update, Update: procs.Update{Seq: 4, Exited: []int32{1}}}, true, 4, 1, 6},
		{17, event{Kind: durable.Lost, Err: lost}, false, 4, 1, 6},
		{25, event{Kind: durable.Resumed, Info: &v2}, true, 4, 1, 6},
		{26, event{Kind: durable.Update, Update: procs.Update{Seq: 5, Started: ps(9)}}, true, 5, 2, 10},
		{27, event{Kind: durable.Update, Err: lost}, false, 5, 2, 10},
	} {
		r = r.after(c.ev, begin.Add(c.at))
		if r.fresh != c.fresh || r.table.Seq != c.seq || r.updates() != c.updates || r.still != c.still {
			t.Errorf("after event %d, %v: %+v", i, c.ev.Kind, r)
		}
	}
	if r.info.Instance != "B" || r.digest() != (procs.Table{Seq: 5, Processes: ps(9)}).Digests()[2] {
		t.Errorf("ended as %+v", r)
	}
}
