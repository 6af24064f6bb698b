// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
)

// follows is the order that the package comment promises. Zero is the beginning.
var follows = map[durable.Kind][]durable.Kind{
	0:                       {durable.Attempting},
	durable.Attempting:      {durable.Connected, durable.FailedToConnect, durable.Rejected, durable.Resumed},
	durable.Connected:       {durable.Snapshot},
	durable.Snapshot:        {durable.Update, durable.Lost},
	durable.Update:          {durable.Update, durable.Lost},
	durable.Resumed:         {durable.Update, durable.Lost},
	durable.Lost:            {durable.Attempting},
	durable.FailedToConnect: {durable.Attempting},
	durable.Rejected:        {durable.Attempting},
}

// chaos is a Func that behaves at random, within what bus allows.
type chaos struct {
	*rand.Rand
	calls  int
	broken bool  // the stream, and not taken up
	sent   []int // updates
}

func (c *chaos) code() error {
	codes := []error{
		bus.Gone, bus.Draining, bus.Lost, bus.Busy, bus.Unauthorized, errors.New("other"), &bus.Error{Code: bus.Application},
		&bus.Error{Code: bus.Disconnected, Again: down(time.Duration(c.IntN(1e9))).Again},
	}
	return codes[c.IntN(len(codes))]
}

func (c *chaos) Func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
	c.calls++
	c.broken = false
	if c.IntN(3) == 0 && !wait(ctx, time.Duration(c.IntN(2e9))) {
		return 0, nil, context.Cause(ctx)
	}
	if c.IntN(3) == 0 {
		return 0, nil, c.code()
	}
	return c.calls, func(yield func(int, error) bool) {
		for {
			var u int
			var err error
			n := c.IntN(20)
			switch {
			case n == 0 && !c.broken:
				return
			case n == 1:
				err = c.code()
			case n < 5 && c.broken, n == 2:
				err = &bus.Break{Err: bus.Gone}
				c.broken = true
			case c.broken:
				err = &bus.Break{Info: &bus.Info{}}
				c.broken = false
			case n == 3:
				err = &bus.ElementError{Err: bus.Inconvertible}
			case n < 7:
				if !wait(ctx, time.Duration(c.IntN(2e9))) {
					yield(0, context.Cause(ctx))
					return
				}
				continue
			default:
				u = len(c.sent)
				c.sent = append(c.sent, u)
			}
			if !yield(u, err) || bus.EndsStream(err) {
				return
			}
		}
	}, nil
}

// check follows c for a while and fails the test at the first event out of order.
func (c *chaos) check(t *testing.T, seed uint64) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(c.IntN(120))*time.Second)
	defer cancel()
	var last durable.Kind
	connected := 0 // the call that did
	var got []int
	leave := 1 + c.IntN(400)
	for ev := range durable.State(ctx, c.Func, "", durable.Policy{Resume: true}) {
		if !slices.Contains(follows[last], ev.Kind) {
			t.Fatalf("seed %d: %v after %v", seed, ev.Kind, last)
		}
		last = ev.Kind
		bad := false
		switch ev.Kind {
		case durable.Attempting:
			bad = ev.Err != nil || ev.Info != nil
		case durable.Connected:
			bad = ev.Info == nil || c.calls == connected
			connected = c.calls
		case durable.Snapshot:
			bad = ev.State != c.calls
		case durable.Update:
			if ev.Err == nil {
				got = append(got, ev.Update)
			}
		case durable.Resumed:
			bad = ev.Info == nil || c.calls != connected
		default:
			bad = ev.Err == nil
		}
		if bad {
			t.Fatalf("seed %d: %+v in call %d, connected by call %d", seed, ev, c.calls, connected)
		}
		if leave--; leave == 0 {
			break
		}
	}
	// The last of them may have met the end of ctx.
	if untold := len(c.sent) - len(got); untold < 0 || untold > 1 || untold == 1 && ctx.Err() == nil || !slices.Equal(got, c.sent[:len(got)]) {
		t.Fatalf("seed %d: told %d updates of %d, or others", seed, len(got), len(c.sent))
	}
}

func TestEventsComeInThePromisedOrder(t *testing.T) {
	const schedules = 2000
	for seed := range uint64(schedules) {
		synctest.Test(t, func(t *testing.T) {
			c := &chaos{Rand: rand.New(rand.NewPCG(seed, 0))}
			c.check(t, seed)
		})
		if t.Failed() {
			return
		}
	}
}
