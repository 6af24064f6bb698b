// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

func TestMenus(t *testing.T) {
	run(t, []scenario{
		{"S202 six RPCs are on the menu with their versions and kinds", sixRPCs},
		{"S217 what is absent has no versions", func(t *testing.T, d dial) {
			m, err := menu.Fetch(within(t), d(t, number.Handler(echo)))
			if err != nil {
				t.Fatal(err)
			}
			saw(t, "versions of a name that is absent", m.Versions("s.absent"), "[]")
			saw(t, "versions of one that is there", m.Versions(number.Name), "[1]")
		}},
	})
}

func sixRPCs(t *testing.T, d dial) {
	c := d(t,
		number.Handler(echo),
		unaryrpc.RPC[int, int]{Name: number.Name, Version: 2}.Handler(echo),
		text.Handler(echoText),
		upTo(),
		state.Handler(func(context.Context, int) (int, iter.Seq2[int, error], error) { return 0, of[int](), nil }),
		message.Handler(func(context.Context, string) error { return nil }))
	m, err := menu.Fetch(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range m {
		if strings.HasPrefix(e.Name, "s.") {
			lines = append(lines, fmt.Sprint(e.Description, " ", e.Kind))
		}
	}
	saw(t, "menu", strings.Join(lines, ", "),
		"s.message.v1 one-way, s.number.v1 unary, s.number.v2 unary, s.numbers.v1 pipe, s.state.v1 state, s.text.v1 unary")
}

func TestRepeatedEntries(t *testing.T) {
	for _, s := range []struct {
		name  string
		c     bus.Caller
		names string
	}{
		{"S046 S210 a version served twice is refused by name", bus.Local(tagging(1), tagging(1)), "s.tag.v1"},
		{"S247 a version served twice through a family is refused by name", bus.Local(append(family(2, 1).Handlers(echoText), tagging(1))...), "s.tag.v1"},
		{"S209 the menu's own name cannot be served", bus.Local(bus.Handler{Description: bus.MenuDescription, Call: bus.Local().Call}), "durabus.menu"},
	} {
		t.Run(s.name, func(t *testing.T) {
			_, err := tag(1).Client(s.c)(t.Context(), "q")
			failed(t, err, bus.Invalid, s.names)
		})
	}
}

// Nothing is dialled: these are for the tests of a protocol library.
func TestChoices(t *testing.T) {
	for _, s := range []struct {
		name           string
		caller, callee versioned.Family[tagFunc]
		want           string
	}{
		{"S243 without a callee's version there is none", family(3, 2, 1), versioned.New[tagFunc](tag(9)), string(bus.Unserved)},
		{"S244 of 1, 2 and 3 the first of the caller", family(3, 2, 1), family(3, 2, 1), "s.tag.v3"},
		{"S245 the callee's order does not matter", family(3, 2, 1), family(1, 2, 3), "s.tag.v3"},
		{"S246 both convert, and version 3 is chosen", family(3, 1), family(2, 3), "s.tag.v3"},
	} {
		t.Run(s.name, func(t *testing.T) {
			saw(t, "chosen", outcome(versioned.Choose(s.caller, s.callee)), s.want)
		})
	}
}

// familyUpTo returns a family of the versions from 1 to n, the highest first.
func familyUpTo(n int) versioned.Family[tagFunc] {
	versions := make([]int, n)
	for i := range versions {
		versions[i] = n - i
	}
	return family(versions...)
}

// Of two sides the one that is behind governs. What is at most of a version of
// the protocol there is at most of a version of the RPC here.
func TestChoicesOfUnequalSides(t *testing.T) {
	for _, s := range []struct{ caller, callee, want int }{{10, 11, 10}, {11, 10, 10}, {8, 7, 7}, {3, 2, 2}, {1, 2, 1}} {
		t.Run(fmt.Sprintf("S167 caller up to %d, callee up to %d", s.caller, s.callee), func(t *testing.T) {
			c := bus.Local(familyUpTo(s.callee).Handlers(echoText)...)
			var info bus.Info
			_, err := familyUpTo(s.caller).Client(c)(bus.WithInfo(t.Context(), &info), "q")
			saw(t, "used", outcome(info.RPC.Version, err), s.want)
		})
	}
	t.Run("S168 a caller that is held back to 10 uses no more", func(t *testing.T) {
		c := bus.Local(familyUpTo(11).Handlers(echoText)...)
		saw(t, "used", outcome(familyUpTo(11).Prefer(10).Pick(t.Context(), c)), "s.tag.v10")
	})
}

func TestACallMeetsACut(t *testing.T) {
	t.Run("S010 an open call ends when its line is cut", func(t *testing.T) {
		began := make(chan bool, 1)
		link := bustest.NewLink(number.Handler(func(ctx context.Context, _ int) (int, error) {
			began <- true
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}))
		ended := make(chan error, 1)
		go func() {
			_, err := number.Client(link)(within(t), 1)
			ended <- err
		}()
		await(t, "the handler", began)
		link.Cut()
		failed(t, await(t, "the end", ended), bus.Disconnected, "s.number.v1")
	})
}

// The choice is made anew at each call.
func TestChoicesOverAnUpgrade(t *testing.T) {
	t.Run("S251 after an upgrade from 1 to 3 the same Func uses 3", func(t *testing.T) {
		link := bustest.NewLink(tagging(1))
		f := family(3, 2, 1).Client(link)
		saw(t, "before", outcome(f(t.Context(), "q")), "up(1:down(q))")
		link.Drain(tagging(3))
		saw(t, "after", outcome(f(t.Context(), "q")), "3:q")
	})
}
