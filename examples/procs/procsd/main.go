// SPDX-License-Identifier: Apache-2.0

// Procsd publishes the process table of this machine until it is interrupted.
// Then it drains: those who follow the table go to another procsd, if there is
// one.
//
//	go run ./examples/procs/procsd [-server nats://127.0.0.1:4222]
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/procs/live"
)

func main() {
	server := flag.String("server", "nats://127.0.0.1:4222", "URL of the NATS server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *server); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, server string) error {
	responder, err := live.New(ctx)
	if err != nil {
		return err
	}
	nc, err := bus.Connect(server)
	if err != nil {
		return err
	}
	defer nc.Close()
	srv, err := bus.Serve(nc, bus.Service{Name: "procsd", Version: "2.0.0"}, responder.Handlers()...)
	if err != nil {
		return err
	}
	log.Printf("serving the process table as instance %s", srv.Instance())
	err = responder.Run(ctx)

	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, srv.Drain(grace))
}
