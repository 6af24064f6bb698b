// SPDX-License-Identifier: Apache-2.0

package bustest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

func version(v int) unaryrpc.RPC[string, string] {
	return unaryrpc.RPC[string, string]{Name: "test.name", Version: v}
}

func named(v int) bus.Handler {
	return version(v).Handler(func(_ context.Context, s string) (string, error) { return s, nil })
}

func TestADirectoryFollowsALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(named(1))
		d, err := menu.Watch(t.Context(), link)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		expect := func(want ...int) {
			t.Helper()
			synctest.Wait()
			if m, _ := d.Menu(); !slices.Equal(m.Versions("test.name"), want) {
				t.Errorf("the menu has %v, want %v", m.Versions("test.name"), want)
			}
		}
		expect(1)
		link.Drain(named(1), named(2))
		expect(1, 2)
		link.Cut()
		link.Drain(named(2))
		expect(1, 2) // nobody hears it
		link.Heal()
		expect(2)
	})
}

func TestAnErrorOverALinkKnowsWhenItsVersionComes(t *testing.T) {
	for name, call := range map[string]func(c bus.Caller) error{
		"of one version": func(c bus.Caller) error { _, err := version(2).Client(c)(context.Background(), "a"); return err },
		"of a family": func(c bus.Caller) error {
			_, err := versioned.New(version(3), version(2)).Client(c)(context.Background(), "a")
			return err
		},
	} {
		for how, comes := range map[string]func(l *bustest.Link){
			"after a drain": func(l *bustest.Link) { l.Drain(named(2)) },
			"after a cut":   func(l *bustest.Link) { l.Cut(); l.Heal(named(2)) },
		} {
			link := bustest.NewLink(named(1))
			e, ok := errors.AsType[*bus.Error](call(link))
			if !ok || e.Code != bus.Unserved || e.Again == nil {
				t.Fatalf("%s: got %v", name, e)
			}
			link.Drain(named(1))
			select {
			case <-e.Again:
				t.Errorf("%s %s: a retry is said to help before its version came", name, how)
			default:
			}
			comes(link)
			select {
			case <-e.Again:
			default:
				t.Errorf("%s %s: its version came, and the error does not know", name, how)
			}
		}
	}
}
