// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/procs"
	"github.com/durabus/durabus/examples/procs/live"
)

// The parts that this program plays in processes of its own.
const (
	partResponder = "demo-responder"
	partCheck     = "demo-check"
	partWorker    = "demo-worker"
)

// Parts are commands for the demo itself: each is one of the processes that it
// starts.
var Parts = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	partResponder: runResponder,
	partCheck:     runCheck,
	partWorker:    runWorker,
}

const (
	drainGrace   = 3 * time.Second
	checkTimeout = 5 * time.Second
)

// runResponder serves the process table of this machine in versions 1 to -newest.
// It prints its instance when it is subscribed, and drains when its input ends.
func runResponder(ctx context.Context, args []string, out io.Writer) error {
	signal.Ignore(os.Interrupt) // of the terminal; the demo decides what ends
	fs := flag.NewFlagSet(partResponder, flag.ContinueOnError)
	server := fs.String("server", "", "URL")
	newest := fs.Int("newest", 1, "version")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	responder, err := live.New(ctx)
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- responder.Run(ctx) }()
	served := make(chan error, 1)
	go func() { served <- serve(ctx, *server, *newest, responder, out) }()

	select {
	case err = <-running:
		cancel()
		return errors.Join(err, <-served)
	case err = <-served:
		cancel()
		return errors.Join(err, <-running)
	}
}

// serve serves until the input ends, so that the table goes on while it drains.
func serve(ctx context.Context, server string, newest int, responder *live.Responder, out io.Writer) error {
	nc, err := bus.Connect(server)
	if err != nil {
		return err
	}
	defer nc.Close()
	handlers := slices.DeleteFunc(responder.Handlers(), func(h bus.Handler) bool { return h.Version > newest })
	service := bus.Service{Name: "procs", Version: fmt.Sprintf("%d.0.0", newest)}
	srv, err := bus.Serve(nc, service, handlers...)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, srv.Instance())
	inputEnd(ctx)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainGrace)
	defer cancel()
	return srv.Drain(ctx)
}

// runCheck asks one instance for a checksum and prints it.
func runCheck(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet(partCheck, flag.ContinueOnError)
	server := fs.String("server", "", "URL")
	instance := fs.String("instance", "", "instance")
	version := fs.Int("version", 0, "version of the table")
	seq := fs.Uint64("seq", 0, "sequence number of the table")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()

	nc, err := bus.Connect(*server)
	if err != nil {
		return err
	}
	defer nc.Close()
	client := bus.NewClient(nc, bus.ClientOptions{})
	defer client.Close()
	checksum := procs.Checksum.Client(client.WithInstance(*instance))
	digest, err := checksum(ctx, procs.Moment{Version: *version, Seq: *seq})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, digest)
	return nil
}

// runWorker does nothing for a while.
func runWorker(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one duration", partWorker)
	}
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	inputEnd(ctx)
	return nil
}

// inputEnd returns when standard input or ctx has ended. The process ends soon
// after it: the read that may be under way ends with that.
func inputEnd(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}
