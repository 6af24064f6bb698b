// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"time"
)

// Workers are short-lived processes, so that the table has something to tell.
type workers struct {
	stop context.CancelFunc
	done chan struct{} // closed when no more are started
}

// employ starts a worker every workerEvery. Those that cannot start are missed
// by nobody: the acts count what the table tells.
func employ(c *crew) *workers {
	ctx, stop := context.WithCancel(c.ctx)
	w := &workers{stop, make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(workerEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = c.start(partWorker, workerLife.String())
			case <-ctx.Done():
				return
			}
		}
	}()
	return w
}

// close returns when no more workers are started. Those that run are the crew's.
func (w *workers) close() {
	w.stop()
	<-w.done
}
