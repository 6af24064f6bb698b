// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"
	"sync"
	"time"
)

// reconnectMost is the longest that nats.go waits, with the options of
// bus.Connect, before it tries to connect again.
const reconnectMost = 5 * time.Second

// back implements [link]. The process tries again as late as nats.go does.
func (c *conn) back(node int) {
	c.net.mu.Lock()
	c.away = false
	c.net.mu.Unlock()
	c.retry(node)
}

// retry connects to a broker after a while, which grows with how long the
// connection has been away.
func (c *conn) retry(node int) {
	c.net.mu.Lock()
	away, r := time.Since(c.lost), c.net.dice.of(c.name).of("retry").nth(c.times).rand()
	connected := c.connected
	c.net.mu.Unlock()
	if !connected && away > 0 {
		wait(context.Background(), between(r, 0, min(away, reconnectMost)))
		c.reconnect(node)
	}
}

// restart stops the only broker for a while, unless it is stopped. When it
// returns all are connected that are not cut off by something else.
func (n *network) restart(lasts time.Duration) error {
	n.mu.Lock()
	if n.stopped {
		n.mu.Unlock()
		return nil
	}
	n.trace.note("broker", "down")
	n.stopped = true
	for _, c := range n.conns {
		c.cut(false)
	}
	n.mu.Unlock()
	wait(context.Background(), lasts)
	n.mu.Lock()
	n.trace.note("broker", "up")
	n.stopped = false
	conns := slices.Clone(n.conns)
	n.mu.Unlock()
	var coming sync.WaitGroup
	for _, c := range conns {
		coming.Go(func() { c.retry(0) })
	}
	coming.Wait()
	return nil
}
