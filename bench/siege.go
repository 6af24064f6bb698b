// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// A siege is a flood beside which another client calls.
type siege struct {
	flood   load
	setting string
	broker  string
	servers []load // a process each
	under   [2]string
	env     []string // of the broker and the servers
}

// Who is served apart is limited, as docs/operations.md recommends.
const (
	floodLimit   = 16
	floodStreams = 100
)

// How the two clients are served.
const (
	setAlike = "alike, no limits, broker's defaults"
	setApart = "apart, with limits"
	setRoomy = "apart, with limits, Go with room"
	setAway  = "apart, with limits, by another process"
)

// Go with room has always a thread that waits for the network, which the system then
// prefers to those that have used the processors, and seldom collects garbage. It is
// what docs/operations.md recommends where strangers may publish.
var roomy = []string{fmt.Sprintf("GOMAXPROCS=%d", 2*runtime.NumCPU()), "GOGC=1000"}

var floods = []load{
	{Flood: "calls", Callers: 256, Size: 1 << 10},
	{Flood: "streams", Callers: 64},
	{Flood: "garbage", Size: 64},
}

func sieges() (all []siege) {
	both, limited := []string{ofBystander, ofFlooder}, load{Under: []string{ofFlooder}, Limit: floodLimit, Most: floodStreams}
	one, two := []load{{Under: both, Limit: floodLimit, Most: floodStreams}}, []load{{Under: both[:1]}, limited}
	for _, f := range floods {
		all = append(all,
			siege{f, setAlike, "default", []load{{Under: []string{""}}}, [2]string{}, nil},
			siege{f, setApart, "documented", one, [2]string(both), nil},
			siege{f, setRoomy, "documented", one, [2]string(both), roomy},
			siege{f, setAway, "documented", two, [2]string(both), nil})
	}
	return all
}

// bystanding is what the other client asks for.
var bystanding = load{Rate: 500, Size: 16}

// A besieged is what the other client saw, once without and once with the flood.
type besieged struct {
	quiet, flooded sample
	flood          sample
	held           float64 // bytes of the responders, afterwards
}

// pressed has the other client call without and with the flood, pairs times.
func (g siege) pressed(ctx context.Context, span time.Duration, pairs int) (all []besieged, err error) {
	c, err := muster(ctx, g.broker, g.env...)
	if err != nil {
		return nil, err
	}
	defer c.end()
	for _, l := range g.servers {
		if _, err := c.serve("flood", l, g.env...); err != nil {
			return nil, err
		}
	}
	bystander, err := c.dial("calls", load{Under: g.under[:1]})
	if err != nil {
		return nil, err
	}
	flooder, err := c.dialNiced("flood", load{Under: g.under[1:]})
	if err != nil {
		return nil, err
	}
	for range pairs {
		b, err := g.pair(c, bystander, flooder, span)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func (g siege) pair(c *crew, bystander, flooder *process, span time.Duration) (b besieged, err error) {
	calls, flood := bystanding, g.flood
	calls.Span = span / 3 // what was left of the flood before is over then
	if _, err := bystander.run(calls); err != nil {
		return b, err
	}
	calls.Span = span
	if b.quiet, err = bystander.run(calls); err != nil {
		return b, err
	}
	flood.Span = 3 * span / 2
	ended := make(chan error, 1)
	go func() {
		var err error
		b.flood, err = flooder.run(flood)
		ended <- err
	}()
	select {
	case <-time.After(span / 3):
	case <-c.ctx.Done():
	}
	b.flooded, err = bystander.run(calls)
	if failed := <-ended; err == nil {
		err = failed
	}
	if err != nil {
		return b, err
	}
	use, err := c.use()
	b.held = use["server"].RSS
	return b, err
}

// ratio is how many times as long the median call takes under the flood, of those
// that are answered.
func (b besieged) ratio() float64 { return float64(b.flooded.P50) / float64(b.quiet.P50) }
