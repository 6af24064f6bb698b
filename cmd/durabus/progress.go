// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// waiting says on a terminal what the tool waits for, once that takes more than
// half a second, and for how long already. It goes on until done is called,
// which clears the line and returns when nothing more will be written. Without a
// terminal it says nothing.
func (t *tool) waiting(what string) (done func()) {
	if !t.terminal {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		begin := time.Now()
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(t.err, "\r%s: %.1f s", what, time.Since(begin).Seconds())
			case <-stop:
				fmt.Fprint(t.err, "\r\x1b[K")
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}
