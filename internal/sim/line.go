// SPDX-License-Identifier: Apache-2.0

package sim

// A Line is what a process that plays many schedules tells of one: [LineMark] and
// a Line as JSON.
type Line struct {
	Seed   uint64
	Sum    uint64 `json:",omitempty"` // of its trace, if asked for
	Broken int    // promises
	Report Report
}

// LineMark begins a line that has a [Line].
const LineMark = "durabus-sim: "
