// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

// A protocol library: prices, at first as their mean, then both sides.

type (
	mean  struct{ Mid int }
	quote struct{ Bid, Ask int }
)

// A halted symbol has no prices.
type halted struct{ Symbol string }

func (h *halted) Error() string { return h.Symbol + " is halted" }

var (
	haltedType = []bus.ErrorType{bus.ErrorOf[*halted]("halted")}
	pricesV1   = staterpc.RPC[string, mean, mean]{Name: "market.prices", Version: 1, Errors: haltedType}
	pricesV2   = staterpc.RPC[string, quote, quote]{Name: "market.prices", Version: 2, Errors: haltedType}
	prices     = versioned.New(pricesV2, versioned.Via(pricesV1, upFrom1, downTo1))

	upFrom1 = staterpc.Convert(same, mean.quote, mean.quote)
	downTo1 = staterpc.Convert(same, quote.mean, quote.mean)
)

func same(s string) string  { return s }
func (m mean) quote() quote { return quote{m.Mid, m.Mid} }
func (q quote) mean() mean  { return mean{(q.Bid + q.Ask) / 2} }

// live has new prices every second, and none of "GONE".
func live(ctx context.Context, symbol string) (quote, iter.Seq2[quote, error], error) {
	if symbol == "GONE" {
		return quote{}, nil, &halted{symbol}
	}
	return quote{10, 20}, func(yield func(quote, error) bool) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for i := 1; ; i++ {
			select {
			case <-tick.C:
				if !yield(quote{10 + 2*i, 20 + 2*i}, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}, nil
}

func watch(ctx context.Context, link *bustest.Link, symbol string, n int, p durable.Policy) []string {
	return told(durable.State(ctx, prices.Client(link), symbol, p), n)
}

// told returns the first n events and when they came, to a tenth of a second.
func told[S, U any](events iter.Seq[durable.Event[S, U]], n int) (got []string) {
	start := time.Now()
	for ev := range events {
		line := fmt.Sprintf("%.1fs %v", time.Since(start).Truncate(100*time.Millisecond).Seconds(), ev.Kind)
		switch ev.Kind {
		case durable.Connected:
			line += fmt.Sprint(" ", ev.Info.RPC)
		case durable.Snapshot:
			line += fmt.Sprint(" ", ev.State)
		case durable.Update:
			line += fmt.Sprint(" ", ev.Update)
		case durable.Lost, durable.FailedToConnect:
			if e, ok := errors.AsType[*bus.Error](ev.Err); ok {
				line += " " + string(e.Code)
			}
		}
		if got = append(got, line); len(got) == n {
			break
		}
	}
	return got
}

func TestDurableAcrossDisconnectAndUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(pricesV1.Handler(downTo1(live)))
		time.AfterFunc(1500*time.Millisecond, link.Cut)
		time.AfterFunc(6500*time.Millisecond, func() { link.Heal(prices.Handlers(live)...) })
		want(t, watch(t.Context(), link, "A", 9, steady(time.Hour)), // only Again ends the wait
			"0.0s Attempting", "0.0s Connected market.prices.v1", "0.0s Snapshot {15 15}", "1.0s Update {17 17}",
			"1.5s Lost disconnected",
			"6.5s Attempting", "6.5s Connected market.prices.v2", "6.5s Snapshot {10 20}", "7.5s Update {12 22}")
	})
}

func TestDurableAcrossARollingUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(pricesV1.Handler(downTo1(live)))
		time.AfterFunc(1500*time.Millisecond, func() { link.Drain(prices.Handlers(live)...) })
		want(t, watch(t.Context(), link, "A", 9, steady(time.Hour)), // nor is there any wait
			"0.0s Attempting", "0.0s Connected market.prices.v1", "0.0s Snapshot {15 15}", "1.0s Update {17 17}",
			"1.5s Lost draining",
			"1.5s Attempting", "1.5s Connected market.prices.v2", "1.5s Snapshot {10 20}", "2.5s Update {12 22}")
	})
}

func TestDurableBeforeTheConnectionIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(prices.Handlers(live)...)
		link.Cut()
		time.AfterFunc(time.Minute, func() { link.Heal() })
		want(t, watch(t.Context(), link, "A", 5, steady(time.Hour)),
			"0.0s Attempting", "0.0s FailedToConnect disconnected",
			"60.0s Attempting", "60.0s Connected market.prices.v2", "60.0s Snapshot {10 20}")
	})
}

func TestARejectionIsTyped(t *testing.T) {
	link := bustest.NewLink(prices.Handlers(live)...)
	for ev := range durable.State(t.Context(), prices.Client(link), "GONE", durable.Policy{Final: always}) {
		if ev.Kind == durable.Attempting {
			continue
		}
		if h, ok := errors.AsType[*halted](ev.Err); ev.Kind != durable.Rejected || !ok || h.Symbol != "GONE" {
			t.Errorf("got %v, %v", ev.Kind, ev.Err)
		}
	}
}

// A thousand streams lose their connection at once. They come back neither at
// the same time nor more at a time than the process may open.
func TestAThousandStreamsComeBackSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams = 1000
		var places crowd
		slow := func(ctx context.Context, symbol string) (quote, iter.Seq2[quote, error], error) {
			places.arrive()
			defer places.leave()
			time.Sleep(10 * time.Millisecond)
			return live(ctx, symbol)
		}
		link := bustest.NewLink(pricesV2.Handler(slow))
		link.Cut()
		ctx, cancel := context.WithCancel(t.Context())
		connected := make(chan time.Time)
		for range streams {
			go func() {
				for ev := range durable.State(ctx, pricesV2.Client(link), "A", steady(time.Hour)) {
					if ev.Kind == durable.Connected {
						connected <- time.Now()
						return
					}
				}
			}()
		}
		synctest.Wait()
		link.Heal()
		healed := time.Now()
		times := map[time.Time]int{}
		var last time.Time
		for range streams {
			last = <-connected
			times[last]++
		}
		cancel()
		if len(times) < streams/2 {
			t.Errorf("%d different times of %d", len(times), streams)
		}
		if places.most > 64 || places.most < 32 {
			t.Errorf("%d openings at once", places.most)
		}
		if took := last.Sub(healed); took > 3*time.Second {
			t.Errorf("the last came after %v", took)
		}
	})
}
