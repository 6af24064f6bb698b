// SPDX-License-Identifier: Apache-2.0

package main

import (
	"syscall"
	"time"
)

// pause waits by the system's own clock: Go's timers are up to a millisecond late
// where nothing else happens, which is several calls.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // a signal ends it early, and the caller looks at the time
}
