// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// entries are a fleet's menu in words, without the menu's own.
func entries(t *testing.T, c bus.Caller) string {
	t.Helper()
	m, err := menu.Fetch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, e := range m {
		if e.Description != bus.MenuDescription {
			words = append(words, fmt.Sprint(e.Description, " ", e.Kind))
		}
	}
	return strings.Join(words, ", ")
}

func TestAVersionLeftOutOfTheMenuIsFoundByItsNumberAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		c := f.client(bus.ClientOptions{})
		var heard []int
		stop, err := c.Hear("name", func(a bus.Announcement) { heard = append(heard, a.Versions...) })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		f.serve(bus.Service{Menu: func(all []bus.MenuEntry) []bus.MenuEntry {
			return slices.DeleteFunc(all, func(e bus.MenuEntry) bool { return e.Version == 3 })
		}}, echo(1), echo(3))
		synctest.Wait()
		if !slices.Equal(heard, []int{1}) {
			t.Errorf("announced: %v", heard)
		}
		expectServed(t, c, 1)
		if got := entries(t, c); got != "name.v1 unary" {
			t.Errorf("the menu: %s", got)
		}
		if d, err := versioned.New(nameRPC3, nameRPC).Pick(t.Context(), c); d.Version != 1 || err != nil {
			t.Errorf("chosen: %v, %v", d, err)
		}
		if answer, err := nameRPC3.Client(c)(t.Context(), "a"); answer != "a" || err != nil {
			t.Errorf("the version itself: %q, %v", answer, err)
		}
	})
}

// Others do not say that they serve it too, and so are not waited for.
func TestAVersionLeftOutOfTheMenuDoesNotHoldUpADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		first := bus.Service{Menu: func(all []bus.MenuEntry) []bus.MenuEntry {
			return slices.DeleteFunc(all, func(e bus.MenuEntry) bool { return e.Version == 3 })
		}}
		leaving := f.serve(first, echo(1), echo(3))
		f.serve(first, echo(1), echo(3))
		c := f.client(bus.ClientOptions{})
		start := time.Now()
		if err := leaving.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the drain took %v", took)
		}
		if _, err := nameRPC3.Client(c)(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	})
}

func TestAProxyTellsOfWhatItReaches(t *testing.T) {
	t.Run("S207 its menu has exactly that", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			behind := newFleet(t)
			rpc := func(v int) unaryrpc.RPC[string, string] {
				return unaryrpc.RPC[string, string]{Name: "legacy.name", Version: v}
			}
			repeat := func(_ context.Context, s string) (string, error) { return s, nil }
			behind.serve(bus.Service{}, rpc(1).Handler(repeat), rpc(2).Handler(repeat))
			backend := behind.client(bus.ClientOptions{})
			found, err := menu.Fetch(t.Context(), backend)
			if err != nil {
				t.Fatal(err)
			}
			f := newFleet(t)
			f.serve(bus.Service{
				Unknown: bus.Unknown{Under: "legacy", Call: backend.Call},
				Menu: func(all []bus.MenuEntry) []bus.MenuEntry {
					for _, e := range found {
						if strings.HasPrefix(e.Name, "legacy.") {
							all = append(all, bus.MenuEntry{Name: e.Name, Version: e.Version, Kind: e.Kind, Digest: e.Digest})
						}
					}
					return all
				},
			}, echo(1))
			c := f.client(bus.ClientOptions{})
			if got := entries(t, c); got != "legacy.name.v1 unary, legacy.name.v2 unary, name.v1 unary" {
				t.Errorf("the menu: %s", got)
			}
			m, err := menu.Fetch(t.Context(), c)
			if err != nil || m[1].Digest == "" || m[1].Digest != found[1].Digest {
				t.Errorf("the digest of %v is %q; %v", m[1].Description, m[1].Digest, err)
			}
			if d, err := menu.Describe(t.Context(), c, m[len(m)-1]); d.Schema == "" || err != nil {
				t.Errorf("%v was not described: %v", m[len(m)-1].Description, err)
			}
			var info bus.Info
			family := versioned.New(rpc(3), rpc(2), rpc(1))
			answer, err := family.Client(c)(bus.WithInfo(t.Context(), &info), "a")
			if answer != "a" || err != nil || info.RPC.Version != 2 {
				t.Errorf("got %q, %v by %v", answer, err, info.RPC)
			}
		})
	})
}

func TestAMenuThatNobodyCouldKeepIsRefused(t *testing.T) {
	legacy := bus.Unknown{Under: "legacy", Call: bus.Local().Call}
	for says, e := range map[string]bus.MenuEntry{
		"neither a handler nor the service's Unknown answers it": {Name: "other", Version: 1, Kind: bus.Unary},
		"not served as pipe": {Name: "name", Version: 1, Kind: bus.Pipe},
		"twice":              {Name: "name", Version: 1, Kind: bus.Unary},
		"menu.v1: invalid":   {Name: "durabus.menu", Version: 1, Kind: bus.Unary},
		"' '":                {Name: "legacy.a b", Version: 1, Kind: bus.Unary},
		"version 0":          {Name: "legacy.a", Kind: bus.Unary},
	} {
		f := newFleet(t)
		srv, err := bus.ServeOn(f.net.Dial(), bus.Service{Unknown: legacy, Menu: func(all []bus.MenuEntry) []bus.MenuEntry { return append(all, e) }}, echo(1))
		if srv != nil || !errors.Is(err, bus.Invalid) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%v: got %v, want %q", e, err, says)
		}
	}
}
