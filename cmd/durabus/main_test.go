// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/busdebug"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { testscript.Main(withoutLeaks{m}, map[string]func(){"durabus": main}) }

// withoutLeaks fails if goroutines are left when all tests are over.
type withoutLeaks struct{ tests *testing.M }

func (w withoutLeaks) Run() int {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the tool sets its own
	code := w.tests.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// The RPCs that the tests call. Clock counts from its query and then waits.
var (
	greet = unaryrpc.RPC[string, string]{Name: "hello.greet", Version: 1}
	wave  = onewayrpc.RPC[string]{Name: "hello.wave", Version: 1}
	count = piperpc.RPC[int, int]{Name: "hello.count", Version: 1}
)

func clock(version int) staterpc.RPC[int, int, int] {
	return staterpc.RPC[int, int, int]{Name: "hello.clock", Version: version}
}

func handlers(clocks ...int) []bus.Handler {
	hs := []bus.Handler{
		greet.Handler(func(_ context.Context, name string) (string, error) {
			switch name {
			case "":
				return "", errors.New("nobody to greet")
			case "root":
				return "", bus.Unauthorized
			}
			return "Hello, " + name, nil
		}),
		wave.Handler(func(context.Context, string) error { return nil }),
		count.Handler(func(ctx context.Context, from int) (iter.Seq2[int, error], error) { return counting(ctx, from), nil }),
	}
	hs = append(hs, messages()...)
	for _, v := range clocks {
		hs = append(hs, clock(v).Handler(func(ctx context.Context, from int) (int, iter.Seq2[int, error], error) {
			return from, counting(ctx, from), nil
		}))
	}
	return hs
}

func counting(ctx context.Context, from int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range 3 {
			if !yield(from+i+1, nil) {
				return
			}
		}
		<-ctx.Done()
	}
}

// serve serves the test's RPCs on the broker at url until closed.
func serve(url string, prefix string, clocks ...int) (srv *bus.Server, closed func(), err error) {
	nc, err := bus.Connect(url)
	if err != nil {
		return nil, nil, err
	}
	srv, err = bus.Serve(nc, bus.Service{Name: "hello", Version: "1.0.0", Prefix: prefix}, handlers(clocks...)...)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return srv, func() { _ = srv.Close(); nc.Close() }, nil
}

// The scripts in testdata run the tool against a broker and a responder of their
// own. Their command «tool CODE ARGS» checks the exit code too.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setup,
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"tool": runTool},
	})
}

// setup starts a broker that lets three users in, of whom guest may call nothing,
// and a responder.
func setup(env *testscript.Env) error {
	b, err := broker.Start(broker.Options{Users: []broker.User{
		{Name: "responder", Password: "secret"},
		{Name: "tool", Password: "secret"},
		{Name: "guest", Password: "secret", Publish: broker.Subjects{Deny: []string{"hello.>"}}},
	}})
	if err != nil {
		return err
	}
	env.Defer(b.Close)
	as := func(user string) string { return strings.Replace(b.URL(), "nats://", "nats://"+user+":secret@", 1) }
	srv, closed, err := serve(as("responder"), "", 1, 2)
	if err != nil {
		return err
	}
	env.Defer(closed)
	reader, debug, err := observed(as("tool"), srv)
	if err != nil {
		return err
	}
	env.Defer(reader)
	env.Setenv("DEBUG", debug)
	env.Setenv("NATS_URL", as("tool"))
	env.Setenv("GUEST", as("guest"))
	env.Setenv("STRANGER", as("stranger"))
	env.Setenv("INSTANCE", srv.Instance())
	return nil
}

// observed opens a stream of srv that nobody reads, and serves what both sides
// have open at url until closed.
func observed(broker string, srv *bus.Server) (closed func(), url string, err error) {
	nc, err := bus.Connect(broker)
	if err != nil {
		return nil, "", err
	}
	client := bus.NewClient(nc, bus.ClientOptions{})
	if _, _, err = clock(2).Client(client)(context.Background(), 10); err != nil {
		return nil, "", errors.Join(err, client.Close())
	}
	debug := httptest.NewServer(busdebug.Handler(client, srv))
	return func() { debug.Close(); _ = client.Close(); nc.Close() }, debug.URL, nil
}

func runTool(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil {
		ts.Fatalf("usage: tool CODE ARGS")
	}
	code := 0
	if err := ts.Exec("durabus", args[1:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// A full disk is one.
type nowhere struct{}

func (nowhere) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAnAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	_, closed, err := serve(b.URL(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer closed()
	for _, args := range [][]string{
		{"call", "-server", b.URL(), "hello.greet", `"Ada"`},
		{"menu", "-server", b.URL()},
		{"menu", "-watch", "-server", b.URL()},
		{"watch", "-server", b.URL(), "hello.clock", "1"},
	} {
		if err := dispatch(t.Context(), args, nowhere{}, io.Discard); err == nil {
			t.Errorf("%v: done", args)
		}
	}
}
