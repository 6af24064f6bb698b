// SPDX-License-Identifier: Apache-2.0

// Mutations shows that the tests can fail: each *.patch in its folder is a
// deliberate fault of the product, with the tests that must catch it.
//
//	go run ./internal/mutations             all faults
//	go run ./internal/mutations -only NAME  those whose names contain NAME
//	go run ./internal/mutations -sim 300    whether the first 300 seeds of the simulation notice
//	go run ./internal/mutations -table      a table in Markdown
//	go run ./internal/mutations -every ./internal/flow
//	                                        each small fault of a package, by its own tests
//
// The faults are put in by an overlay of go test: nothing of the repository
// changes. A fault must apply and build, and each test that it names must fail with
// it and pass without it. It may change the bodies of functions and nothing else, so
// that one build has all of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

// options are those of the command line.
type options struct {
	dir, only, every string
	jobs             int
	sim              uint64
	table            bool
	least            float64
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "internal/mutations", "the folder with the patches")
	flag.StringVar(&o.only, "only", "", "a part of the names of those to run")
	flag.IntVar(&o.jobs, "p", runtime.NumCPU(), "how many at a time")
	flag.Uint64Var(&o.sim, "sim", 0, "with so many schedules of the simulation, instead of the named tests")
	flag.BoolVar(&o.table, "table", false, "write what the patches say as a table, and run nothing")
	flag.StringVar(&o.every, "every", "", "a package, to which each small fault is done instead")
	flag.Float64Var(&o.least, "least", 80, "with -every, how many percent must be noticed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "mutations:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	all, err := readPatches(o.dir, o.only)
	if err != nil {
		return err
	}
	if o.table {
		writeTable(out, all)
		return nil
	}
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "durabus-mutations")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	b := newBench(root, temp)
	if o.every != "" {
		return b.every(ctx, out, o.every, o.jobs, o.least)
	}
	t := &trial{bench: b, patches: all, runs: o.sim}
	missed, err := t.all(ctx, out, o.jobs)
	if err == nil && missed > 0 {
		err = fmt.Errorf("%d of %d faults were not caught as they should be", missed, len(all))
	}
	return err
}

func writeTable(out io.Writer, all []patch) {
	fmt.Fprint(out, "| Fault | Promise | Caught by | The simulation |\n|---|---|---|---|\n")
	for _, p := range all {
		names := make([]string, len(p.tests))
		for i, t := range p.tests {
			names[i] = fmt.Sprintf("`%s` in %s", t.name, strings.TrimPrefix(t.pkg, "./"))
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", p.breaks, p.promise, strings.Join(names, ", "), p.seen)
	}
}
