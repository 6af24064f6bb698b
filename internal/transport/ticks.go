// SPDX-License-Identifier: Apache-2.0

package transport

import "time"

// Ticks returns what ticks every d for the process that has c, until stop: a
// [time.Ticker]. A connection that stands in may bring ticks of its own, as a
// process that is stopped has none, and afterwards one that is late.
func Ticks(c Conn, d time.Duration) (ticks <-chan time.Time, stop func()) {
	if p, ok := c.(patient); ok {
		c = p.Conn
	}
	if own, ok := c.(interface {
		Ticks(time.Duration) (<-chan time.Time, func())
	}); ok {
		return own.Ticks(d)
	}
	t := time.NewTicker(d)
	return t.C, t.Stop
}
