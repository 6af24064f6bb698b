// SPDX-License-Identifier: Apache-2.0

package live

import "github.com/durabus/durabus/examples/procs"

// diff returns what leads from one sample to the next, without a sequence
// number. Both are sorted by PID. Another process with the same PID is an exit
// and a start.
func diff(old, next []observation) procs.Update {
	var u procs.Update
	for len(old) > 0 || len(next) > 0 {
		switch {
		case len(next) == 0 || len(old) > 0 && old[0].PID < next[0].PID:
			u.Exited = append(u.Exited, old[0].PID)
			old = old[1:]
		case len(old) == 0 || next[0].PID < old[0].PID:
			u.Started = append(u.Started, next[0].Process)
			next = next[1:]
		default:
			switch {
			case old[0].created != next[0].created:
				u.Exited = append(u.Exited, old[0].PID)
				u.Started = append(u.Started, next[0].Process)
			case old[0].Process != next[0].Process:
				u.Changed = append(u.Changed, next[0].Process)
			}
			old, next = old[1:], next[1:]
		}
	}
	return u
}
