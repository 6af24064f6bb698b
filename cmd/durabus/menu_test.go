// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/unaryrpc"
)

func TestWhatChangesOnAMenuIsSaid(t *testing.T) {
	entry := func(version int, digest string, instances ...string) menu.Entry {
		d := bus.Description{Name: "hello", Version: version, Kind: bus.Unary}
		return menu.Entry{Description: d, Digest: digest, Instances: instances}
	}
	own := menu.Entry{Description: bus.MenuDescription, Instances: []string{"a"}}
	for name, c := range map[string]struct {
		before, after menu.Menu
		want          []string
	}{
		"nothing":             {menu.Menu{own}, menu.Menu{own}, nil},
		"the first responder": {nil, menu.Menu{own, entry(1, "d", "a")}, []string{"came hello.v1 unary d at 1: a"}},
		"one more":            {menu.Menu{entry(1, "d", "a")}, menu.Menu{entry(1, "d", "a", "b")}, []string{"now  hello.v1 unary d at 2: a b"}},
		"an upgrade": {
			menu.Menu{own, entry(1, "d", "a")},
			menu.Menu{entry(2, "e", "b")},
			[]string{"gone hello.v1 unary d", "came hello.v2 unary e at 1: b"},
		},
		"a contradiction": {
			menu.Menu{entry(1, "d", "a")},
			menu.Menu{entry(1, "d", "a"), entry(1, "e", "b")},
			[]string{"came hello.v1 unary e at 1: b", "hello.v1: invalid: the responders disagree about its schema: d at a, e at b"},
		},
		"the same contradiction": {
			menu.Menu{entry(1, "d", "a"), entry(1, "e", "b")},
			menu.Menu{entry(1, "d", "a"), entry(1, "e", "b")},
			nil,
		},
	} {
		if got := changes(c.before, c.after); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestAWatchedMenuShowsWhoComesAndLeaves(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	first, closeFirst, err := serve(b.URL(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	next := running(t, "menu", "-watch", "-server", b.URL())
	next(` came hello.clock.v1 state [0-9a-f]{16} at 1: ` + first.Instance() + `$`)
	second, closeSecond, err := serve(b.URL(), "", 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer closeSecond()
	next(` now  hello.clock.v1 state [0-9a-f]{16} at 2: `)
	next(` came hello.clock.v2 state [0-9a-f]{16} at 1: ` + second.Instance() + `$`)
	closeFirst()
	next(` now  hello.clock.v1 state [0-9a-f]{16} at 1: ` + second.Instance() + `$`)
}

func TestACheckFailsWhereRespondersDisagree(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	check := func() (code int, said string) {
		err := dispatch(t.Context(), []string{"menu", "-check", "-server", b.URL()}, io.Discard, io.Discard)
		if f, ok := errors.AsType[*failure](err); ok {
			return f.code, f.text
		}
		return exitDone, fmt.Sprint(err)
	}
	for _, h := range []bus.Handler{
		unaryrpc.RPC[string, string]{Name: "hello.greet", Version: 1}.Handler(nil),
		unaryrpc.RPC[string, int]{Name: "hello.greet", Version: 1}.Handler(nil),
	} {
		if code, said := check(); code != exitUnserved && code != exitDone {
			t.Errorf("exit code %d before they disagree: %s", code, said)
		}
		nc, err := bus.Connect(b.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		h.Call = bus.Local().Call
		srv, err := bus.Serve(nc, bus.Service{}, h)
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
	}
	if code, said := check(); code != exitFailed || !strings.Contains(said, "hello.greet.v1: invalid: the responders disagree about its schema") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// A responder that tells its menu to nobody is one of many: the others are shown,
// and called.
func TestAResponderWithoutAMenuHidesNoOther(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	_, closed, err := serve(b.URL(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer closed()
	nc, err := bus.Connect(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for instance, mute := range map[string]bus.CallFunc{
		"busy":   func(context.Context, bus.Call) (bus.Reply, error) { return bus.Reply{}, bus.Busy },
		"silent": func(ctx context.Context, _ bus.Call) (bus.Reply, error) { <-ctx.Done(); return bus.Reply{}, ctx.Err() },
	} {
		srv, err := bus.Serve(nc, bus.Service{Name: instance, Middleware: []bus.Middleware{func(bus.CallFunc) bus.CallFunc { return mute }}},
			unaryrpc.RPC[string, string]{Name: "else." + instance, Version: 1}.Handler(func(_ context.Context, q string) (string, error) { return q, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
	}
	tool := func(args ...string) (out string, code int, said string) {
		var b strings.Builder
		err := dispatch(t.Context(), args, &b, io.Discard)
		if f, ok := errors.AsType[*failure](err); ok {
			return b.String(), f.code, f.text
		}
		return b.String(), exitDone, fmt.Sprint(err)
	}
	at := []string{"-server", b.URL(), "-timeout", "1s"}
	out, code, said := tool(slices.Concat([]string{"menu"}, at)...)
	if !strings.Contains(out, "hello.greet") || code != exitFailed || !strings.Contains(said, "busy") || !strings.Contains(said, "instance ") {
		t.Errorf("menu: exit code %d, %s; %s", code, said, out)
	}
	if out, code, said = tool(slices.Concat([]string{"call"}, at, []string{"hello.greet", `"Ada"`})...); out != "\"Hello, Ada\"\n" || code != exitDone {
		t.Errorf("call: exit code %d, %s; %s", code, said, out)
	}
	if _, code, said = tool(slices.Concat([]string{"call"}, at, []string{"else.busy", `"Ada"`})...); code != exitFailed || !strings.Contains(said, "busy") {
		t.Errorf("what may be served by one of them: exit code %d, %s", code, said)
	}
	next := running(t, slices.Concat([]string{"watch"}, at, []string{"hello.clock", "10"})...)
	next(`Snapshot +10$`)
}
