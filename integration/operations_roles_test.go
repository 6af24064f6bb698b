// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/unaryrpc"
)

func TestTheOperatorsPermissionsAreEnough(t *testing.T) {
	url := operated(t, "permissions.conf")
	srv := servePricing(t, connect(t, url, unrefused(t, "pricer")), bus.Service{})
	alice, tool := client(t, url, unrefused(t, "alice")), client(t, url, unrefused(t, "tool"))
	callsPricing(t, alice)
	callsPricing(t, alice.At(srv.Instance()))
	if versions, err := alice.Served(t.Context(), "market.price"); len(versions) != 2 || err != nil {
		t.Errorf("versions %v, %v", versions, err)
	}
	if m, err := menu.Fetch(t.Context(), tool); len(m) != 3 || err != nil {
		t.Errorf("the menu is %v, %v", m, err)
	}
	if err := srv.Drain(t.Context()); err != nil {
		t.Error("Drain:", err)
	}
}

// A trespass is what a role must not be able to do.
type trespass struct {
	role               string
	publish, subscribe string // one of the two
	queue              string
}

var trespasses = []trespass{
	// Callers do not serve.
	{role: "bob", subscribe: "market.price.v1", queue: "q"},
	{role: "bob", subscribe: "market.price.v1"},
	{role: "bob", subscribe: "_D.m.market.price.one", queue: "q"},
	{role: "bob", subscribe: "_D.i.>"},
	{role: "bob", subscribe: "$SRV.PING"},
	{role: "bob", publish: "_D.a.market.price"},
	{role: "bob", publish: "_D.c.0123.menu.0"},
	// They read nobody's inbox, nor what is said to responders.
	{role: "bob", subscribe: "_INBOX.alice.>"},
	{role: "bob", subscribe: "_INBOX.*.>"},
	{role: "bob", subscribe: "_INBOX.>"},
	{role: "bob", subscribe: ">"},
	{role: "bob", subscribe: "_D.c.>"},
	// They forge nothing for others.
	{role: "bob", publish: "_INBOX.alice.0123.1"},
	{role: "bob", publish: "_INBOX.bob.0123.1"},
	{role: "bob", publish: "_D.f.market.price.v1.0123.4567"},
	{role: "bob", subscribe: "_D.f.market.trade.>"},
	{role: "bob", publish: "market.trade.v1"},
	{role: "bob", publish: "_D.i.0123.market.trade.v1"},
	{role: "bob", publish: "_D.i.0123.durabus.menu.v1"},
	// A responder calls nobody, and serves nothing else.
	{role: "pricer", publish: "market.price.v1"},
	{role: "pricer", publish: "market.trade.v1"},
	{role: "pricer", publish: "_D.i.0123.market.price.v1"},
	{role: "pricer", publish: "_D.a.market.trade"},
	{role: "pricer", publish: "_D.f.market.trade.v1.0123.4567"},
	{role: "pricer", publish: "_D.c.0123.4567.1"},
	{role: "pricer", subscribe: "market.trade.v1", queue: "q"},
	{role: "pricer", subscribe: "market.price.v1"},
	{role: "pricer", subscribe: "market.price.v1", queue: "another"},
	{role: "pricer", subscribe: "_INBOX.alice.>"},
	{role: "pricer", subscribe: "_INBOX.>"},
	// A tool only looks.
	{role: "tool", publish: "market.price.v1"},
	{role: "tool", publish: "_D.i.0123.market.price.v1"},
	{role: "tool", publish: "_D.a.market.price"},
	{role: "tool", publish: "_D.c.0123.4567.1"},
	{role: "tool", publish: "_INBOX.alice.0123.1"},
	{role: "tool", subscribe: "market.price.v1"},
	{role: "tool", subscribe: "_D.f.>"},
	{role: "tool", subscribe: "_INBOX.alice.>"},
}

func TestTheOperatorsPermissionsAreNoMoreThanEnough(t *testing.T) {
	url := operated(t, "permissions.conf")
	for _, c := range trespasses {
		t.Run(c.role+" "+c.publish+c.subscribe, func(t *testing.T) { c.refused(t, url) })
	}
}

// refused wants the broker to refuse c.
func (c trespass) refused(t *testing.T, url string) {
	t.Helper()
	refused := make(chan error, 8)
	nc := connect(t, url, user(c.role, refused))
	var err error
	switch {
	case c.publish != "":
		err = nc.PublishRequest(c.publish, "_INBOX."+c.role+".x", []byte("x"))
	case c.queue != "":
		_, err = nc.QueueSubscribe(c.subscribe, c.queue, func(*nats.Msg) {})
	default:
		_, err = nc.Subscribe(c.subscribe, func(*nats.Msg) {})
	}
	if err := errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"`+c.publish+c.subscribe) {
			t.Errorf("%v, want a permission violation of %q", err, c.publish+c.subscribe)
		}
	case <-time.After(patience):
		t.Error("the broker did not refuse it")
	}
}

func TestWhatTheOperatorsPermissionsRefuseIsDeniedAtOnce(t *testing.T) {
	url := operated(t, "permissions.conf")
	servePricing(t, connect(t, url, unrefused(t, "pricer")), bus.Service{})
	trade := unaryrpc.RPC[int, int]{Name: "market.trade", Version: 1}
	for _, who := range []string{"bob", "pricer"} {
		c := client(t, url, user(who, nil))
		soon(t, atOnce, func(ctx context.Context) error { _, err := trade.Client(c)(ctx, 1); return err },
			bus.Denied, "market.trade.v1", "no permission to ")
	}
	handler := trade.Handler(func(_ context.Context, n int) (int, error) { return n, nil })
	for _, who := range []string{"bob", "pricer"} {
		_, err := bus.Serve(connect(t, url, user(who, nil)), bus.Service{}, handler)
		if !errors.Is(err, bus.Denied) || !strings.Contains(err.Error(), "no permission to subscribe") {
			t.Errorf("%s serves: %v, want Denied", who, err)
		}
	}
}

// A caller may name any subject as its Reply, and an honest responder answers
// there: its own permissions are all that stands between.
func TestAResponderIsNotMadeToPublishForItsCaller(t *testing.T) {
	for _, c := range []struct {
		name      string
		responder broker.User
		reaches   bool
	}{
		{"with _INBOX.>", broker.User{Publish: broker.Subjects{Allow: []string{"_D.a.>", "_INBOX.>"}}}, false},
		{"with allow_responses", broker.User{Publish: broker.Subjects{Allow: []string{"_D.a.>"}}, Responses: &broker.Responses{Max: -1}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.responder.Name, c.responder.Password = "pricer", "pricer"
			bob := broker.User{Name: "bob", Password: "bob", Publish: broker.Subjects{Allow: []string{"market.price.*"}}}
			judge := broker.User{Name: "judge", Password: "judge"}
			url := broker.Run(t, broker.Options{Users: []broker.User{c.responder, bob, judge}}).URL()
			refused := make(chan error, 8)
			servePricing(t, connect(t, url, user("pricer", refused)), bus.Service{})
			watched := connect(t, url, user("judge", nil))
			sub, err := watched.SubscribeSync("market.trade.v1")
			if err := errors.Join(err, watched.Flush()); err != nil {
				t.Fatal(err)
			}
			msg := nats.NewMsg("market.price.v1")
			msg.Reply, msg.Data = "market.trade.v1", []byte(`"quick"`)
			msg.Header.Set("Content-Type", bus.ContentTypeJSON)
			if err := connect(t, url, user("bob", nil)).PublishMsg(msg); err != nil {
				t.Fatal(err)
			}
			if c.reaches {
				m, err := sub.NextMsg(patience)
				if err != nil {
					t.Fatal("docs/operations.md warns of nothing:", err)
				}
				if m.Header.Get("Content-Type") != "" {
					t.Error("the answer looks like a plain request")
				}
				return
			}
			select {
			case err := <-refused:
				if !strings.Contains(err.Error(), `"market.trade.v1"`) {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Error("the broker did not refuse it")
			}
			if n, _, err := sub.Pending(); n > 0 || err != nil {
				t.Errorf("%d messages arrived, %v", n, err)
			}
		})
	}
}
