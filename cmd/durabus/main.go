// SPDX-License-Identifier: Apache-2.0

// Durabus shows and calls what is served with the durabus packages.
//
//	durabus broker                   a NATS server of your own, for trying things out
//	durabus menu                     what is served: names, versions, instances; -watch, -check
//	durabus call NAME[.vN] [JSON]    one call; prints the answer
//	durabus watch NAME[.vN] [JSON]   a stream, kept open until it is interrupted
//	durabus streams URL              what a process has open, by its debug endpoint; -watch, -json
//	durabus demo                     five acts on this machine's own processes
//
// Each command says more with -help. Answers and events go to standard output,
// all else to standard error.
//
// # Exit codes
//
//	0  done; for demo, all five acts matched
//	1  the call, or the demo, failed
//	2  the command line is wrong
//	3  no broker, or it does not let us in
//	4  nobody serves this name or this version
//	5  the broker or the responder does not allow it
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/durabus/durabus/cmd/durabus/internal/demo"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// A command is one word of the command line. It reads its own flags.
type command struct {
	name    string
	args    string // behind the flags, for its usage
	summary string
	run     func(ctx context.Context, t *tool, args []string) error
}

var commands = []command{
	{"broker", "", "run a NATS server of your own, for trying things out", runBroker},
	{"menu", "", "list what is served: names, versions, instances", runMenu},
	{"call", "NAME[.vN] [JSON]", "call a unary or a one-way RPC and print the answer", runCall},
	{"watch", "NAME[.vN] [JSON]", "follow a pipe or a state until interrupted", runWatch},
	{"streams", "URL", "show the streams that a process has open, by its debug endpoint", runStreams},
	{"demo", "", "follow this machine's processes through five acts", runDemo},
}

// A tool is where a command writes to, and how it is used.
type tool struct {
	command  command
	out      io.Writer // answers and events
	err      io.Writer // all else
	terminal bool      // somebody looks at err
}

// run carries out one command line and returns the exit code.
func run(args []string, out, errs io.Writer) int {
	// What the library logs at lower levels, the tool says in its own words.
	slog.SetDefault(slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelError})))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever interrupts again does not wait

	err := dispatch(ctx, args, out, errs)
	if err == nil {
		return exitDone
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = failed(exitFailed, "%v", err)
	}
	if f.text != "" {
		fmt.Fprintln(plain{errs}, "durabus:", f.text)
	}
	return f.code
}

func dispatch(ctx context.Context, args []string, out, errs io.Writer) error {
	if len(args) == 0 {
		usage(errs)
		return &failure{code: exitUsage}
	}
	if part, ok := demo.Parts[args[0]]; ok {
		return part(ctx, args[1:], out)
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, &tool{c, plain{out}, errs, isTerminal(errs)}, args[1:])
		}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(out)
		return nil
	}
	usage(errs)
	return failed(exitUsage, "there is no command %q", args[0])
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: durabus COMMAND [flags] [arguments]")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-7s %-17s %s\n", c.name, c.args, c.summary)
	}
	fmt.Fprintln(w, "durabus COMMAND -help lists the flags.")
}

// parse reads the flags of a command, and checks that between least and most
// arguments are behind them.
func (t *tool) parse(fs *flag.FlagSet, args []string, least, most int) error {
	fs.Init(t.command.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are said once, by run
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		t.help(fs, t.out)
		return &failure{code: exitDone}
	case err != nil:
		return failed(exitUsage, "%s: %v; durabus %s -help lists the flags", t.command.name, err, t.command.name)
	case fs.NArg() < least:
		t.help(fs, t.err)
		return failed(exitUsage, "%s: too few arguments", t.command.name)
	case fs.NArg() > most:
		return failed(exitUsage, "%s: one argument too many: %q (flags stand before the arguments)", t.command.name, fs.Arg(most))
	}
	return nil
}

func (t *tool) help(fs *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "usage: durabus %s [flags] %s\n%s\n", t.command.name, t.command.args, t.command.summary)
	fs.SetOutput(w)
	fs.PrintDefaults()
}

// isTerminal reports whether w is a terminal, or at least a device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
