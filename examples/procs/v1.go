// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

// ProcessV1 is a process as version 1 knows it.
type ProcessV1 struct {
	PID    int32  `json:"pid"`
	Parent int32  `json:"parent"`
	Name   string `json:"name"`
}

// TableV1 is the table of version 1.
type TableV1 struct {
	Seq       uint64      `json:"seq"`
	Processes []ProcessV1 `json:"processes"`
}

// UpdateV1 is an update of version 1. Sequence numbers may be left out: those of
// updates that change nothing version 1 has.
type UpdateV1 struct {
	Seq     uint64      `json:"seq"`
	Exited  []int32     `json:"exited,omitempty"`
	Started []ProcessV1 `json:"started,omitempty"`
	Changed []ProcessV1 `json:"changed,omitempty"`
}

// ProcessesV1 is version 1: who runs, and who started it.
var ProcessesV1 = staterpc.RPC[Query, TableV1, UpdateV1]{Name: "procs.table", Version: 1}

var processes1 = versioned.New(ProcessesV1)

// Apply returns the table that u leads to from t.
func (t TableV1) Apply(u UpdateV1) TableV1 {
	key := func(p ProcessV1) int32 { return p.PID }
	return TableV1{u.Seq, replace(t.Processes, u.Exited, u.Started, u.Changed, key)}
}
