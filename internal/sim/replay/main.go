// SPDX-License-Identifier: Apache-2.0

// Package main plays schedules of internal/sim so that they replay exactly: it
// builds the tests of internal/sim on a runtime that leaves nothing to chance (see
// edits.go), and runs that.
//
//	go run ./internal/sim/replay soak  -n 10000 -seed 1   plays on all cores
//	go run ./internal/sim/replay trace -seed 7            prints what happens
//	go run ./internal/sim/replay check -n 200             compares replays
//	go run ./internal/sim/replay build -o sim.test        builds only
//
// A seed has one schedule for each state of the sources and release of Go. The
// edits are for one release of Go; with others, it says what does not fit. It
// needs a 64-bit machine, and the first build compiles the standard library.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

// errBroken is said already.
var errBroken = errors.New("promises were broken")

// A task is what the command line asks for.
type task struct {
	program string // the tests, built
	first   uint64
	count   uint64
	cores   int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, errBroken) {
			fmt.Fprintln(os.Stderr, "replay:", err)
		}
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, task) error{
		"soak": soak, "trace": trace, "check": check,
		"build": func(context.Context, task) error { return nil },
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("say what to do: soak, trace, check or build")
	}
	var t task
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	flags.Uint64Var(&t.first, "seed", 1, "the first seed")
	flags.Uint64Var(&t.count, "n", 200, "how many schedules")
	flags.IntVar(&t.cores, "cores", runtime.NumCPU(), "how many processes play at once")
	flags.StringVar(&t.program, "o", "", "where to leave the tests, built; nowhere by default")
	_ = flags.Parse(args[1:]) // it exits
	if t.count == 0 || t.cores < 1 {
		return errors.New("-n and -cores are at least 1")
	}
	folder, err := os.MkdirTemp("", "durabus-replay")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if t.program == "" {
		t.program = filepath.Join(folder, "sim.test")
	}
	if err := build(ctx, folder, t.program); err != nil {
		return err
	}
	return commands[args[0]](ctx, t)
}

// build builds the tests of internal/sim on the runtime that is edited.
func build(ctx context.Context, folder, to string) error {
	root, version, err := toolchain(ctx)
	if err != nil {
		return err
	}
	list, err := overlay(folder, root, version)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "simreplay", "-overlay", list, "-o", to,
		"github.com/durabus/durabus/internal/sim")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go test -c, on the runtime of %s as edits.go, made for %s, has it: %w\n%s", version, madeFor, err, out)
	}
	return nil
}

// toolchain returns where the sources are that are built with, and their version.
func toolchain(ctx context.Context) (root, version string, err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return "", "", fmt.Errorf("go env: %w", err)
	}
	root, version, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(root), version, nil
}
