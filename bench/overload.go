// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

// A station is responders of one RPC, and what is offered to them.
type station struct {
	name       string
	responders []load
	nominal    float64 // calls that the handlers carry in a second; 0 is what is measured
	offers     []offer
}

// An offer is so many times what is carried.
type offer struct {
	times float64
	again int // that a call is tried again which was refused as busy
}

// slotted carries slots calls at once, 10 ms each.
func slotted(slots, limit int) load {
	return load{Slots: slots, Work: 10 * time.Millisecond, Limit: limit}
}

func offers(times ...float64) (all []offer) {
	for _, t := range times {
		all = append(all, offer{times: t})
	}
	return all
}

var stations = []station{
	{name: "one responder, `Limit: 40`", responders: []load{slotted(20, 40)}, nominal: 2000, offers: offers(1, 1.5, 2, 3, 5)},
	{name: "nobody may wait: `Limit: 20`", responders: []load{slotted(20, 20)}, nominal: 2000, offers: offers(1, 2, 5)},
	{name: "the default `Limit`, 1000", responders: []load{slotted(20, 0)}, nominal: 2000, offers: offers(1, 2, 5)},
	{name: "two responders, `Limit: 40` each", responders: []load{slotted(20, 40), slotted(20, 40)}, nominal: 4000, offers: offers(1, 1.5, 2, 3, 5)},
	{
		name: "two, of which one has 2 handlers and `Limit: 4`", responders: []load{slotted(20, 40), slotted(2, 4)}, nominal: 2200,
		offers: []offer{{times: 0.5}, {0.5, 3}, {times: 3}, {3, 3}},
	},
	{name: "1 ms of the processor, `Limit: 4`", responders: []load{{Work: time.Millisecond, Limit: 4}}, offers: offers(1, 2, 3)},
	{name: "1 ms of the processor, the default `Limit`", responders: []load{{Work: time.Millisecond}}, offers: offers(1, 2, 3)},
}

// An outcome is what one offer came to in one round.
type outcome struct {
	sample
	carried float64 // calls that the station carries in a second
}

// The figures of an outcome.
var outcomes = map[string]func(outcome) float64{
	"goodput %":     func(o outcome) float64 { return 100 * o.N / o.Elapsed.Seconds() / o.carried },
	"answered %":    func(o outcome) float64 { return 100 * (o.Made - o.Busy - o.Failed) / o.Made },
	"p50":           func(o outcome) float64 { return float64(o.P50) / 1e6 },
	"p99":           func(o outcome) float64 { return float64(o.P99) / 1e6 },
	"busy %":        func(o outcome) float64 { return 100 * o.Busy / o.Made },
	"busy p99":      func(o outcome) float64 { return float64(o.BusyP99) / 1e6 },
	"failed %":      func(o outcome) float64 { return 100 * o.Failed / o.Made },
	"sent for each": func(o outcome) float64 { return (o.Tries + o.Retried) / o.Made },
}

// overload makes one round of a station's offers.
func (st station) overload(ctx context.Context, span time.Duration) (all []outcome, err error) {
	c, err := muster(ctx, "documented")
	if err != nil {
		return nil, err
	}
	defer c.end()
	for _, l := range st.responders {
		if _, err := c.serve("offer", l); err != nil {
			return nil, err
		}
	}
	caller, err := c.dial("offer", load{})
	if err != nil {
		return nil, err
	}
	carried := st.nominal
	// It warms up, too: as many callers as keep all handlers at work.
	s, err := c.run(caller, load{Callers: 4, Span: span, Size: 16})
	if err != nil {
		return nil, err
	}
	if carried == 0 {
		carried = s.N / s.Elapsed.Seconds()
	}
	for _, o := range st.offers {
		s, err := caller.run(load{Rate: o.times * carried, Span: span, Size: 16, Again: o.again})
		if err != nil {
			return nil, fmt.Errorf("%s, offered %v times: %w", st.name, o.times, err)
		}
		all = append(all, outcome{s, carried})
	}
	return all, nil
}
