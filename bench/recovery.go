// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

func serveRecovery(s system, at place, l load) (end, error) {
	return end{at: at}, s.(recoverySystem).serveRecovery(at, l)
}

// dialRecovery follows l.States states on each of l.Conns connections.
func dialRecovery(s system, at place, l load) (end, error) {
	c := &crowd{changed: make(chan struct{}, 1)}
	for range l.Conns {
		tried := new(atomic.Int64)
		c.tried = append(c.tried, tried)
		if err := s.(recoverySystem).dialRecovery(at, l.States, func() { tried.Add(1) }, c.follower); err != nil {
			return end{}, err
		}
	}
	return end{run: c.run}, nil
}

// A crowd is all followers of one process.
type crowd struct {
	tried   []*atomic.Int64 // attempts to connect, for each connection
	changed chan struct{}   // has something after each change

	mu        sync.Mutex
	followers int
	current   int // have had news since the start
	recovered []int64
}

func (c *crowd) follower() follower {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.followers++
	known := false
	return func(recovered bool) {
		if known && !recovered {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if !known {
			known = true
			c.current++
		}
		if recovered {
			c.recovered = append(c.recovered, time.Now().UnixNano())
		}
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}
}

// run waits until every follower is current or, if l.Count is not 0, has
// recovered, and returns when each did. N is the most attempts to
// connect that a connection has made since the last run.
func (c *crowd) run(ctx context.Context, l load) (sample, error) {
	for {
		c.mu.Lock()
		have, want := c.current, c.followers
		if l.Count > 0 {
			have = len(c.recovered)
		}
		times := slices.Clone(c.recovered)
		if have >= want {
			c.recovered = nil
			c.mu.Unlock()
			return sample{N: c.mostTried(), Times: times}, nil
		}
		c.mu.Unlock()
		select {
		case <-c.changed:
		case <-ctx.Done():
			return sample{}, fmt.Errorf("%d followers of %d are current: %w", have, want, ctx.Err())
		}
	}
}

func (c *crowd) mostTried() (most float64) {
	for _, n := range c.tried {
		most = max(most, float64(n.Swap(0)))
	}
	return most
}

// every calls f again and again, as long as the process lives; never if gap is 0.
func every(gap time.Duration, f func()) {
	if gap <= 0 {
		return
	}
	for range time.Tick(gap) {
		f()
	}
}

// A countingDialer tells each attempt to connect.
type countingDialer struct{ tried func() }

func (d countingDialer) Dial(network, address string) (net.Conn, error) {
	d.tried()
	return net.DialTimeout(network, address, 2*time.Second)
}
