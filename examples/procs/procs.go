// SPDX-License-Identifier: Apache-2.0

// Package procs is a protocol library: the process table of a machine, as a
// state and the updates to it. Programs use the definitions and the types in
// this file; one file for each version holds what that version has on the wire
// and the conversions between it and these types. Package live implements the
// protocol.
//
// Every table and every update carries a sequence number. It counts the updates
// of one instance of a responder, so it means nothing at another one: a question
// about a sequence number goes to the instance that gave it (bus.Info,
// Client.WithInstance).
package procs

import (
	"fmt"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/unaryrpc"
)

var (
	// Processes gives the table, then what changes in it.
	Processes = processes2 // the newest family; adding a version changes this line

	// Checksum gives the digest of the table as it was at a sequence number. It
	// answers with a [*Forgotten] if it does not know.
	Checksum = unaryrpc.RPC[Moment, string]{
		Name: "procs.checksum", Version: 1, Idempotent: true,
		Errors: []bus.ErrorType{bus.ErrorOf[*Forgotten]("forgotten")},
	}

	// Interval sets how often an instance looks at the machine.
	Interval = onewayrpc.RPC[Sampling]{Name: "procs.interval", Version: 1}
)

// Query asks for the table. There is nothing to choose yet.
type Query struct{}

// A Process is one line of the table. A caller of version 1 knows PID, Parent
// and Name; all else is zero there.
type Process struct {
	PID      int32         `json:"pid"`
	Parent   int32         `json:"parent"`
	Name     string        `json:"name"`
	CPU      time.Duration `json:"cpu"`      // in user and kernel mode since the start; nanoseconds in JSON
	Resident uint64        `json:"resident"` // bytes of memory
	State    string        `json:"state"`    // such as "running", "sleep" or "zombie"
	Command  string        `json:"command"`  // line, cut at 4 KiB; empty for the kernel's own threads
}

// A Moment is a sequence number of the table in the terms of one version.
// Versions have different digests, as they have different fields.
type Moment struct {
	Version int    `json:"version"`
	Seq     uint64 `json:"seq"`
}

// Sampling is the time between two looks at the machine. The responder refuses
// less than 20 ms and more than a minute.
type Sampling struct {
	Milliseconds int `json:"milliseconds"`
}

// Forgotten is the answer of Checksum for a moment that is too long ago, still
// to come, or of a version that is not kept. The responder knows the sequence
// numbers Oldest to Newest.
type Forgotten struct {
	Moment Moment `json:"moment"`
	Oldest uint64 `json:"oldest"`
	Newest uint64 `json:"newest"`
}

func (f *Forgotten) Error() string {
	return fmt.Sprintf("no digest of sequence number %d in version %d: %d to %d are known", f.Moment.Seq, f.Moment.Version, f.Oldest, f.Newest)
}
