// SPDX-License-Identifier: Apache-2.0

// Serve, as it was when version 1 was the newest.
package main

import (
	"context"
	"iter"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/clock"
	"github.com/durabus/durabus/piperpc"
)

func now(ctx context.Context, zone string) (string, error) {
	t, err := clock.Tell(ctx, clock.Place{Zone: zone})
	return t.Clock, err
}

func ticks(ctx context.Context, zone string) (string, iter.Seq2[string, error], error) {
	t, times, err := clock.Tick(ctx, clock.Place{Zone: zone})
	return t.Clock, piperpc.Map(times, func(t clock.Time) (string, error) { return t.Clock, nil }), err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	nc, err := bus.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	srv, err := bus.Serve(nc, bus.Service{Name: "clock"}, clock.Now1.Handler(now), clock.Ticks1.Handler(ticks))
	if err != nil {
		log.Fatal(err)
	}
	log.Print("serving version 1")
	<-ctx.Done()
	if err := srv.Drain(context.Background()); err != nil {
		log.Print(err)
	}
}
