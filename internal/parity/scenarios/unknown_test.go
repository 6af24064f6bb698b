// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/unaryrpc"
)

// Calls that no handler lists. There are no policies to choose from: the call
// alone fails, or Unknown answers it.
func TestUnknownCalls(t *testing.T) {
	url := broker.Run(t, broker.Options{}).URL()
	for i, s := range []struct {
		name string
		run  func(*testing.T, func(bus.Service) bus.Caller)
	}{
		{"S025 a call that is not served fails alone", notServed},
		{"S026 a fallback that panics costs its call alone", fallbackPanics},
		{"S027 a fallback is told name and version and its verdict counts", fallbackDecides},
		{"S028 S162 a fallback sees metadata, bytes and what middleware added", fallbackSees},
	} {
		t.Run(s.name, func(t *testing.T) {
			s.run(t, func(svc bus.Service) bus.Caller {
				svc.Name, svc.Prefix = "scenarios", fmt.Sprintf("u%d", i)
				return serving(t, url, svc, number.Handler(echo))
			})
		})
	}
}

var legacy = unaryrpc.RPC[string, string]{Name: "legacy.orders", Version: 3}

func notServed(t *testing.T, serve func(bus.Service) bus.Caller) {
	c := serve(bus.Service{})
	_, err := legacy.Client(c)(within(t), "q")
	failed(t, err, bus.NoResponder, "legacy.orders.v3")
	_, err = unaryrpc.RPC[int, int]{Name: number.Name, Version: 2}.Client(c)(within(t), 1)
	failed(t, err, bus.Unserved, "s.number.v2", "[1]")
	works(t, c)
}

func fallbackPanics(t *testing.T, serve func(bus.Service) bus.Caller) {
	c := serve(bus.Service{Unknown: bus.Unknown{Under: "legacy", Call: func(context.Context, bus.Call) (bus.Reply, error) {
		panic("never heard of it")
	}}})
	_, err := legacy.Client(c)(within(t), "q")
	failed(t, err, bus.Panicked, "legacy.orders.v3")
	works(t, c)
}

func fallbackDecides(t *testing.T, serve func(bus.Service) bus.Caller) {
	c := serve(bus.Service{Unknown: bus.Unknown{Under: "legacy", Call: func(_ context.Context, c bus.Call) (bus.Reply, error) {
		if c.Description != legacy.Describe() {
			return bus.Reply{}, fmt.Errorf("told of %v", c.Description)
		}
		return bus.Reply{}, bus.Unauthorized
	}}})
	_, err := legacy.Client(c)(within(t), "q")
	failed(t, err, bus.Unauthorized, "legacy.orders.v3")
	works(t, c)
}

func fallbackSees(t *testing.T, serve func(bus.Service) bus.Caller) {
	type key struct{}
	var tr tracing
	hook := func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			return next(context.WithValue(ctx, key{}, "hooked "+c.Metadata["who"]), c)
		}
	}
	seen := make(chan string, 1)
	c := serve(bus.Service{
		Middleware: []bus.Middleware{bus.Trace(tr.tell), hook},
		Unknown: bus.Unknown{Under: "legacy", Call: func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			seen <- fmt.Sprint(c.Name, " ", c.Version, " ", map[string]string(c.Metadata), " ", string(c.Query), " ", ctx.Value(key{}))
			return bus.Reply{}, fmt.Errorf("no table for %s", c.Name)
		}},
	})
	_, err := legacy.Client(c)(bus.WithMetadata(within(t), bus.Metadata{"who": "me"}), "q")
	failed(t, err, bus.Failed, "legacy.orders.v3", "no table for legacy.orders")
	saw(t, "the fallback saw", await(t, "a call", seen), `legacy.orders 3 map[who:me] "q" hooked me`)
	saw(t, "the trace", tr.steps(true)+": "+tr.outcomes(true), "queried 3, ended 0: faulty")
	works(t, c)
}
