// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"iter"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

var variable = regexp.MustCompile(`\$[A-Z_]+`)

// conf returns the block of docs/operations.md with that name, with its variables
// set to variables, of name and value in turn, or to what the users' names are.
func conf(t *testing.T, name string, variables ...string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "```conf\n# "+name+"\n")
	if !ok {
		t.Fatalf("docs/operations.md has no block %s", name)
	}
	block, _, _ = strings.Cut(block, "```")
	values := map[string]string{"$ALICE": "alice", "$BOB": "bob", "$PRICER": "pricer", "$TOOL": "tool", "$SRV": "$SRV"}
	for i := 0; i < len(variables); i += 2 {
		values[variables[i]] = variables[i+1]
	}
	return variable.ReplaceAllStringFunc(block, func(v string) string {
		if _, ok := values[v]; !ok {
			t.Fatalf("docs/operations.md, %s: no value for %s", name, v)
		}
		return values[v]
	})
}

// operated runs a broker with a block of docs/operations.md.
func operated(t *testing.T, name string, variables ...string) (url string) {
	t.Helper()
	return runBroker(t, broker.Options{Config: conf(t, name, variables...)}).URL()
}

// user logs in, with an inbox of his own, and keeps what the broker refuses.
func user(name string, refused chan<- error) nats.Option {
	return func(o *nats.Options) error {
		o.User, o.Password, o.InboxPrefix = name, name, "_INBOX."+name
		o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case refused <- err:
			default:
			}
		}
		return nil
	}
}

// unrefused is a user whom the broker must not refuse anything.
func unrefused(t *testing.T, name string) nats.Option {
	return func(o *nats.Options) error {
		o.User, o.Password, o.InboxPrefix = name, name, "_INBOX."+name
		o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Errorf("%s: %v", name, err) }
		return nil
	}
}

var (
	quoteRPC = unaryrpc.RPC[string, string]{Name: "market.price", Version: 1}
	trailRPC = staterpc.RPC[int, []byte, []byte]{Name: "market.price", Version: 2}
)

// pricing are the handlers of the example.
func pricing() []bus.Handler {
	return []bus.Handler{
		quoteRPC.Handler(func(ctx context.Context, how string) (string, error) {
			if how == "slow" {
				pace(ctx, 60*time.Millisecond)
			}
			return "for " + bus.IncomingCall(ctx).Identity, nil
		}),
		trailRPC.Handler(func(_ context.Context, n int) ([]byte, iter.Seq2[[]byte, error], error) {
			b := make([]byte, n)
			return b, func(yield func([]byte, error) bool) {
				for range 8 {
					if !yield(b, nil) {
						return
					}
				}
			}, nil
		}),
	}
}

func servePricing(t *testing.T, nc *nats.Conn, svc bus.Service) *bus.Server {
	t.Helper()
	svc.Name = "pricer"
	srv, err := bus.Serve(nc, svc, pricing()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error("closing the server:", err)
		}
	})
	return srv
}

// callsPricing makes a short call, a slow one, and reads a stream that is longer
// than every window and has values in pieces.
func callsPricing(t *testing.T, c bus.Caller) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, how := range []string{"", "slow"} {
		if got, err := quoteRPC.Client(c)(ctx, how); !strings.HasPrefix(got, "for") || err != nil {
			t.Errorf("a call that is %q: %q, %v", how, got, err)
		}
	}
	const size = 300_000
	state, updates, err := trailRPC.Client(c)(ctx, size)
	if err != nil || len(state) != size {
		t.Errorf("a state of %d bytes, %v", len(state), err)
		return
	}
	n := 0
	for u, err := range updates {
		if err != nil || len(u) != size {
			t.Errorf("update %d: %d bytes, %v", n, len(u), err)
			return
		}
		n++
	}
	if n != 8 {
		t.Errorf("%d updates, want 8", n)
	}
}

func isCode(err error, code bus.Code) bool {
	e, ok := errors.AsType[*bus.Error](err)
	return ok && e.Code == code
}
