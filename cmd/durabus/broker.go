// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// runBroker runs a NATS server until it is interrupted.
func runBroker(ctx context.Context, t *tool, args []string) error {
	var fs flag.FlagSet
	port := fs.Int("port", 4222, "TCP `port` on 127.0.0.1; 0 is a free one")
	if err := t.parse(&fs, args, 0, 0); err != nil {
		return err
	}
	if *port < 0 || *port > 65535 {
		return failed(exitUsage, "broker: %d is not a TCP port", *port)
	}
	b, err := broker.Start(broker.Options{Port: *port})
	if err != nil {
		return failed(exitFailed, "%v; if a broker runs there already use that, else give another -port", err)
	}
	defer b.Close()
	fmt.Fprintf(t.out, "NATS server at %s, for this machine only; Ctrl-C ends it\n", b.URL())
	<-ctx.Done()
	return nil
}
