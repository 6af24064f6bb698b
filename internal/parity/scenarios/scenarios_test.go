// SPDX-License-Identifier: Apache-2.0

// Package scenarios_test holds the behaviour scenarios of the catalogue that the
// design re-creates, each under its number and with its figures, within one
// process and over a broker. Where the module behaves otherwise on purpose the
// name of the test says what happens instead; docs/parity.md says why.
package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	goleak.VerifyTestMain(m)
}

// A dial returns a caller that reaches handlers and nothing else.
type dial func(t *testing.T, handlers ...bus.Handler) bus.Caller

type scenario struct {
	name string // begins with the number
	run  func(*testing.T, dial)
}

// run runs scenarios over both callers.
func run(t *testing.T, scenarios []scenario) {
	t.Run("Local", func(t *testing.T) {
		for _, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				s.run(t, func(_ *testing.T, handlers ...bus.Handler) bus.Caller { return bus.Local(handlers...) })
			})
		}
	})
	runOverNATS(t, scenarios)
}

// runOverNATS runs scenarios over one broker, told apart by a prefix.
func runOverNATS(t *testing.T, scenarios []scenario) {
	t.Run("NATS", func(t *testing.T) {
		url := broker.Run(t, broker.Options{}).URL()
		dials := 0
		over := func(t *testing.T, handlers ...bus.Handler) bus.Caller {
			dials++
			return overNATS(t, url, fmt.Sprintf("d%d", dials), handlers)
		}
		for _, s := range scenarios {
			t.Run(s.name, func(t *testing.T) { s.run(t, over) })
		}
	})
}

// overNATS serves handlers under prefix and returns a client of them.
func overNATS(t *testing.T, url, prefix string, handlers []bus.Handler) bus.Caller {
	t.Helper()
	return serving(t, url, bus.Service{Name: "scenarios", Prefix: prefix}, handlers...)
}

// serving serves handlers as svc and returns a client of them, each on a
// connection of its own.
func serving(t *testing.T, url string, svc bus.Service, handlers ...bus.Handler) *bus.Client {
	t.Helper()
	srv, err := bus.Serve(connected(t, url), svc, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, srv) })
	c := bus.NewClient(connected(t, url), bus.ClientOptions{Prefix: svc.Prefix})
	t.Cleanup(func() { closed(t, c) })
	return c
}

func connected(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func closed(t *testing.T, c io.Closer) {
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// patience is how long a scenario waits for what must happen.
const patience = 30 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// saw compares what happened, as text, with what the scenario says.
func saw(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// await returns what arrives.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing in %v", what, patience)
		panic("unreachable")
	}
}

// eventually waits until count is what is wanted.
func eventually(t *testing.T, what string, count func() int, want int) {
	t.Helper()
	ctx := within(t)
	for count() != want && ctx.Err() == nil {
		runtime.Gosched()
	}
	saw(t, what, count(), want)
}

// failed expects an Error of the code whose text has all of parts.
func failed(t *testing.T, err error, code bus.Code, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*bus.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("%v (%T), want %v", err, err, code)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
}

// outcome is the value of a call, or the code of its error.
func outcome[T any](v T, err error) string {
	if e, ok := errors.AsType[*bus.Error](err); ok {
		return string(e.Code)
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

// heard is all that comes of a stream, and the code of the error that ended it.
func heard[U any](updates iter.Seq2[U, error], err error) string {
	if err != nil {
		return outcome(0, err)
	}
	var line []string
	for u, err := range updates {
		if bus.IsElement(err) {
			line = append(line, "missing")
			continue
		}
		line = append(line, outcome(u, err))
	}
	return strings.Join(line, " ")
}

// heardState is the state and all that follows it.
func heardState[S, U any](s S, updates iter.Seq2[U, error], err error) string {
	if err != nil {
		return outcome(0, err)
	}
	return fmt.Sprintf("%v: %s", s, heard(updates, nil))
}

// of yields values and ends in order.
func of[T any](values ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range values {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// The RPCs of most scenarios.
var (
	number  = unaryrpc.RPC[int, int]{Name: "s.number", Version: 1}
	numbers = piperpc.RPC[int, int]{Name: "s.numbers", Version: 1}
	state   = staterpc.RPC[int, int, int]{Name: "s.state", Version: 1}
	text    = unaryrpc.RPC[string, string]{Name: "s.text", Version: 1}
)

func echo(_ context.Context, n int) (int, error) { return n, nil }

// works shows that calls beside what failed go on.
func works(t *testing.T, c bus.Caller) {
	t.Helper()
	saw(t, "a call after it", outcome(number.Client(c)(within(t), 7)), "7")
}
