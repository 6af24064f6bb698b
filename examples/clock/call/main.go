// SPDX-License-Identifier: Apache-2.0

// Call asks for the time in a zone, of responders of either version.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/clock"
)

func main() {
	nc, err := bus.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	client := bus.NewClient(nc, bus.ClientOptions{})
	defer client.Close()
	var info bus.Info
	t, err := clock.Now.Client(client)(bus.WithInfo(context.Background(), &info), clock.Place{Zone: "UTC"})
	fmt.Printf("%q in zone %q, said by %v; error: %v\n", t.Clock, t.Zone, info.RPC, err)
}
