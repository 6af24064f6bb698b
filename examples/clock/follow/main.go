// SPDX-License-Identifier: Apache-2.0

// Follow shows the time in UTC until it is interrupted, whatever becomes of the
// responders and whichever version they have.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/examples/clock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	nc, err := bus.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	client := bus.NewClient(nc, bus.ClientOptions{})
	defer client.Close()
	for ev := range durable.State(ctx, clock.Ticks.Client(client), clock.Place{Zone: "UTC"}, durable.Policy{}) {
		switch ev.Kind {
		case durable.Connected:
			fmt.Println("Connected", ev.Info.RPC)
		case durable.Snapshot:
			fmt.Println("Snapshot", ev.State)
		case durable.Update:
			fmt.Println("Update", ev.Update)
		case durable.Lost, durable.FailedToConnect:
			fmt.Println(ev.Kind, ev.Err)
		}
	}
}
