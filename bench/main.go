// SPDX-License-Identifier: Apache-2.0

// Bench compares durabus with raw nats.go, messages of it packed by hand, nats.go
// micro, grpc-go, drpc and psrpc on this machine.
//
//	go -C bench run . -quick                 # does it work? under 2 minutes, figures of no worth
//	go -C bench run . -rounds 9 -json r.json # the figures of docs/performance.md
//	go -C bench run . -run 'stream/16' -rounds 5 -profile DIR
//	go -C bench run . -read r.json -document ../docs/performance.md
//	go -C bench run . -load -document ../docs/load.md # what is carried, and what becomes of more
//
// Broker, server and client are processes of their own, which this program
// starts from its own file, afresh for each measurement and on the loopback
// interface alone. In a round every system does every workload once, in an order
// that turns with the rounds; a ratio is that of two neighbours in one round.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(beChild(role))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	quick   bool
	rounds  int
	only    *regexp.Regexp // workload and system, as in stream/16/durabus
	profile string         // folder of profiles; "" is none
	span    time.Duration  // of one measurement
	calm    float64        // percent of the machine that others may use; 0 is any
}

func command(ctx context.Context) error {
	o := options{}
	flag.BoolVar(&o.quick, "quick", false, "one short round of all but the longest workloads, to see that they work")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each system does each workload; intervals want 9 and more")
	flag.DurationVar(&o.span, "span", time.Second, "about how long a measurement lasts")
	flag.Float64Var(&o.calm, "calm", 0, "measure again, up to five times, while others use more than so many `percent` of the machine")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of the measurements, and heap profiles of idle streams, into this `folder`")
	only := flag.String("run", "", "only the measurements whose workload/system matches this `expression`")
	loaded := flag.Bool("load", false, "measure what is carried, and what becomes of more, instead: overload, floods and capacity, for about five minutes; -run picks of load/overload, load/flood and load/capacity")
	list := flag.Bool("list", false, "print the workloads with their systems, and end")
	write := flag.String("json", "", "write the results to this `file`, after every round")
	read := flag.String("read", "", "measure nothing; report the results in this `file`")
	document := flag.String("document", "", "write the report between the marks of this `file`, and its plots beside it")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; -help lists the flags", flag.Arg(0))
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if o.quick {
		o.rounds, o.span = 1, 100*time.Millisecond
	}
	if *list {
		for _, c := range cells(o, 0) {
			fmt.Println(c)
		}
		return nil
	}
	if *loaded {
		text, err := underLoad(ctx, o)
		fmt.Print(text)
		if err == nil && *document != "" {
			err = replaceReport(*document, text)
		}
		return err
	}
	r, err := gather(ctx, o, *read, *write)
	if r == nil {
		return err
	}
	fmt.Print(r.markdown())
	if err == nil && *document != "" {
		err = r.writeDocument(*document)
	}
	return err
}

// gather measures, or reads what was measured. It returns what there is beside
// an error.
func gather(ctx context.Context, o options, read, write string) (*results, error) {
	if read != "" {
		return readResults(read)
	}
	r := newResults(o)
	failed := 0
	for round := range o.rounds {
		for _, c := range rotated(cells(o, round), round) {
			began := time.Now()
			m, err := c.calmly(ctx, o, round)
			if ctx.Err() != nil {
				return r, errors.New("interrupted")
			}
			if err != nil {
				failed++
				fmt.Fprintf(os.Stderr, "round %d: %s: %v\n", round+1, c, err)
				continue
			}
			r.add(c, round, m)
			fmt.Fprintf(os.Stderr, "round %d: %-32s %s (%.1f s)\n", round+1, c, m, time.Since(began).Seconds())
		}
		if write != "" {
			if err := r.write(write); err != nil {
				return r, err
			}
		}
	}
	if failed > 0 {
		return r, fmt.Errorf("%d measurements failed", failed)
	}
	return r, nil
}
