// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"iter"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/staterpc"
)

var inBackticks = regexp.MustCompile("`([^`]+)`")

// documented returns a user who may do exactly what docs/protocol.md says that
// the role needs.
func documented(t *testing.T, role string) broker.User {
	t.Helper()
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, row, ok := strings.Cut(string(text), "\n| "+role+" | ")
	if !ok {
		t.Fatalf("docs/protocol.md does not say what a %s needs", role)
	}
	row, _, _ = strings.Cut(row, "\n")
	publish, subscribe, _ := strings.Cut(row, "|")
	subjects := func(cell string) (s broker.Subjects) {
		for _, m := range inBackticks.FindAllStringSubmatch(cell, -1) {
			s.Allow = append(s.Allow, m[1])
		}
		return s
	}
	return broker.User{Name: role, Password: role, Publish: subjects(publish), Subscribe: subjects(subscribe)}
}

func TestTheDocumentedPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	asked := documented(t, "responder")
	asked.Name, asked.Publish, asked.Responses = "responder by responses", broker.Subjects{Allow: []string{"_D.a.>"}}, &broker.Responses{Max: -1}
	url := runBroker(t, broker.Options{Users: []broker.User{
		documented(t, "caller"), documented(t, "responder"), documented(t, "tool"), asked,
	}}).URL()
	as := func(role, password string) *nats.Conn {
		return connect(t, url, nats.UserInfo(role, password), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			t.Errorf("%s: %v", role, err)
		}))
	}
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16)
	price := staterpc.RPC[int, []byte, []byte]{Name: "market.price", Version: 1}
	handler := price.Handler(func(context.Context, int) ([]byte, iter.Seq2[[]byte, error], error) {
		return long, func(yield func([]byte, error) bool) { _ = yield(long[:1], nil) && yield(long, nil) }, nil
	})
	for _, responder := range []string{"responder", "responder by responses"} {
		t.Run(responder, func(t *testing.T) {
			srv, err := bus.Serve(as(responder, "responder"), bus.Service{Name: "test"}, handler)
			if err != nil {
				t.Fatal(err)
			}
			client := bus.NewClient(as("caller", "caller"), bus.ClientOptions{})
			tool := bus.NewClient(as("tool", "tool"), bus.ClientOptions{})
			defer func() {
				for _, c := range []interface{ Close() error }{client, tool, srv} {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for _, c := range []bus.Caller{client, client.At(srv.Instance())} {
				got, err := watched(price.Client(c)(ctx, 0))
				if want := string(long) + "|0|" + string(long); got != want || err != nil {
					t.Errorf("a stream of %d bytes, want %d: %v", len(got), len(want), err)
				}
			}
			if versions, err := client.Served(ctx, "market.price"); len(versions) != 1 || err != nil {
				t.Errorf("versions %v, %v", versions, err)
			}
			if m, err := menu.Fetch(ctx, tool); len(m) != 2 || err != nil {
				t.Errorf("the menu is %v, %v", m, err)
			}
			if responder == "responder" { // the other may not ask who else serves
				if err := srv.Drain(ctx); err != nil {
					t.Error("Drain:", err)
				}
			}
		})
	}
}
