// SPDX-License-Identifier: Apache-2.0

// Serve tells the time at both versions until it is interrupted. Then it drains.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/clock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	nc, err := bus.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	srv, err := bus.Serve(nc, bus.Service{Name: "clock"}, slices.Concat(
		clock.Now.Handlers(clock.Tell), clock.Ticks.Handlers(clock.Tick))...)
	if err != nil {
		log.Fatal(err)
	}
	log.Print("serving both versions")
	<-ctx.Done()
	if err := srv.Drain(context.Background()); err != nil {
		log.Print(err)
	}
}
