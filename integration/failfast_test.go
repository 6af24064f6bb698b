// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// at once is what a caller must wait at most for an error that can be known.
const atOnce = 100 * time.Millisecond

// overdrawn is a declared error.
type overdrawn struct{ Account string }

func (o *overdrawn) Error() string { return o.Account + " is overdrawn" }

var declared = []bus.ErrorType{bus.ErrorOf[*overdrawn]("overdrawn")}

// A shape is a kind of RPC whose handler fails in the way that its query names.
type shape struct {
	kind    bus.Kind
	handler func(name string, version int, f func(ctx context.Context, how string) error) bus.Handler
	call    func(ctx context.Context, c bus.Caller, name string, version int, how string) error
}

var shapes = []shape{
	{
		kind: bus.Unary,
		handler: func(name string, version int, f func(context.Context, string) error) bus.Handler {
			return unaryrpc.RPC[string, string]{Name: name, Version: version, Errors: declared}.Handler(
				func(ctx context.Context, how string) (string, error) { return "", f(ctx, how) })
		},
		call: func(ctx context.Context, c bus.Caller, name string, version int, how string) error {
			_, err := unaryrpc.RPC[string, string]{Name: name, Version: version, Errors: declared}.Client(c)(ctx, how)
			return err
		},
	},
	{
		kind: bus.Pipe,
		handler: func(name string, version int, f func(context.Context, string) error) bus.Handler {
			return piperpc.RPC[string, string]{Name: name, Version: version, Errors: declared}.Handler(
				func(ctx context.Context, how string) (iter.Seq2[string, error], error) { return nil, f(ctx, how) })
		},
		call: func(ctx context.Context, c bus.Caller, name string, version int, how string) error {
			_, err := piperpc.RPC[string, string]{Name: name, Version: version, Errors: declared}.Client(c)(ctx, how)
			return err
		},
	},
	{
		kind: bus.State,
		handler: func(name string, version int, f func(context.Context, string) error) bus.Handler {
			return staterpc.RPC[string, string, string]{Name: name, Version: version, Errors: declared}.Handler(
				func(ctx context.Context, how string) (string, iter.Seq2[string, error], error) {
					return "", nil, f(ctx, how)
				})
		},
		call: func(ctx context.Context, c bus.Caller, name string, version int, how string) error {
			_, _, err := staterpc.RPC[string, string, string]{Name: name, Version: version, Errors: declared}.Client(c)(ctx, how)
			return err
		},
	},
}

// fail is a handler that fails as it is told.
func fail(ctx context.Context, how string) error {
	switch how {
	case "unauthorized":
		return fmt.Errorf("not for you: %w", bus.Unauthorized)
	case "error":
		return errors.New("disk full")
	case "typed":
		return fmt.Errorf("paying: %w", &overdrawn{"acme"})
	case "panic":
		panic("a defect")
	case "slow":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// A failure is one way in which a call cannot succeed.
type failure struct {
	name    string
	rpc     string // behind it stands the kind
	version int
	how     string
	timeout time.Duration // 0 is one that must not be waited for
	code    bus.Code
	says    []string
}

var failures = []failure{
	{name: "unknown name", rpc: "nobody.", version: 1, code: bus.NoResponder, says: []string{"nobody serves"}},
	{name: "unserved version", rpc: "fail.", version: 7, code: bus.Unserved, says: []string{"version 7", "[1 2]"}},
	{name: "refused authorization", rpc: "fail.", version: 1, how: "unauthorized", code: bus.Unauthorized, says: []string{"not for you"}},
	{name: "busy", rpc: "full.", version: 1, code: bus.Busy, says: []string{"1 calls are in progress", "limit"}},
	{name: "undecodable query", rpc: "number.", version: 1, how: "x", code: bus.Undecodable, says: []string{"the query"}},
	{name: "handler error", rpc: "fail.", version: 2, how: "error", code: bus.Failed, says: []string{"disk full"}},
	{name: "typed error", rpc: "fail.", version: 1, how: "typed", code: bus.Application, says: []string{"acme is overdrawn"}},
	{name: "panic", rpc: "fail.", version: 1, how: "panic", code: bus.Panicked, says: []string{"the responder's log"}},
	{name: "expired deadline", rpc: "fail.", version: 1, how: "slow", timeout: 20 * time.Millisecond, code: bus.Expired},
}

func TestEachFailureHasItsCodeAtOnce(t *testing.T) {
	url := runBroker(t, broker.Options{}).URL()
	var handlers []bus.Handler
	for _, s := range shapes {
		name := s.kind.String()
		handlers = append(handlers, s.handler("fail."+name, 1, fail), s.handler("fail."+name, 2, fail), misread(s.kind))
		fill(t, url, s)
	}
	serve(t, url, append(handlers, bystanders()...)...)
	c := client(t, url)
	good := beside(t, c)
	for _, f := range failures {
		for _, s := range shapes {
			t.Run(f.name+" of a "+s.kind.String()+" RPC", func(t *testing.T) { failsAtOnce(t, c, s, f) })
		}
	}
	good.stop(t)
}

func failsAtOnce(t *testing.T, c bus.Caller, s shape, f failure) {
	d := bus.Description{Name: f.rpc + s.kind.String(), Version: f.version, Kind: s.kind}
	best := time.Hour
	for range 3 { // of which other programs on the machine may spoil one
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if f.timeout > 0 {
			ctx, cancel = context.WithTimeout(t.Context(), f.timeout)
		}
		start := time.Now()
		err := s.call(ctx, c, d.Name, d.Version, f.how)
		best = min(best, time.Since(start))
		cancel()
		isError(t, err, d, f.code, f.says...)
	}
	t.Logf("%.1f ms", float64(best.Microseconds())/1000)
	if best > atOnce {
		t.Errorf("it took %v, want at most %v", best, atOnce)
	}
}

// isError fails the test unless err is an Error of d with code and says words.
func isError(t *testing.T, err error, d bus.Description, code bus.Code, words ...string) *bus.Error {
	t.Helper()
	e, ok := errors.AsType[*bus.Error](err)
	if !ok || e.Code != code || e.RPC != d {
		t.Fatalf("%v (%#v); want %q of %v", err, err, code, d)
	}
	for _, w := range append(words, fmt.Sprintf("%s.v%d", d.Name, d.Version)) {
		if !strings.Contains(e.Error(), w) {
			t.Errorf("%q does not say %q", e, w)
		}
	}
	return e
}

// misread serves an RPC of numbers, where callers send text.
func misread(k bus.Kind) bus.Handler {
	name := "number." + k.String()
	switch k {
	case bus.Unary:
		return unaryrpc.RPC[int, string]{Name: name, Version: 1}.Handler(
			func(context.Context, int) (string, error) { return "", nil })
	case bus.Pipe:
		return piperpc.RPC[int, string]{Name: name, Version: 1}.Handler(
			func(context.Context, int) (iter.Seq2[string, error], error) { return nil, nil })
	}
	return staterpc.RPC[int, string, string]{Name: name, Version: 1}.Handler(
		func(context.Context, int) (string, iter.Seq2[string, error], error) { return "", nil, nil })
}

// fill serves an RPC with room for one call, and takes the room.
func fill(t *testing.T, url string, s shape) {
	t.Helper()
	name := "full." + s.kind.String()
	began := make(chan struct{})
	full := s.handler(name, 1, func(ctx context.Context, how string) error {
		close(began)
		<-ctx.Done()
		return nil
	})
	srv, err := bus.Serve(connect(t, url), bus.Service{Name: "full", Limit: 1}, full)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	c := client(t, url)
	go func() {
		defer close(ended)
		_ = s.call(ctx, c, name, 1, "") // its end is of no interest
	}()
	<-began
	t.Cleanup(func() {
		cancel()
		<-ended
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}
