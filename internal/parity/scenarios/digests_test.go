// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

func TestDigests(t *testing.T) {
	run(t, []scenario{
		{"S203 handlers without schemas are on the menu without digests", withoutDigests},
	})
}

func withoutDigests(t *testing.T, d dial) {
	handlers, _ := everyKind(func(next bus.CallFunc) bus.CallFunc { return next }, nil)
	for i := range handlers {
		handlers[i].Schema = nil
	}
	m, err := menu.Fetch(within(t), d(t, handlers...))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range m {
		if strings.HasPrefix(e.Name, "s.") {
			lines = append(lines, fmt.Sprintf("%v %v %q", e.Description, e.Kind, e.Digest))
		}
	}
	saw(t, "menu", strings.Join(lines, ", "),
		`s.message.v1 one-way "", s.number.v1 unary "", s.numbers.v1 pipe "", s.state.v1 state ""`)
}

func TestConsistency(t *testing.T) {
	entry := func(version int, digest, instance string) menu.Entry {
		return menu.Entry{
			Description: bus.Description{Name: "s.a", Version: version, Kind: bus.Unary},
			Digest:      digest, Instances: []string{instance},
		}
	}
	here := menu.Menu{entry(1, "1", "i"), entry(2, "2", "i")}
	for _, s := range []struct {
		name  string
		there menu.Menu
		wrong string
	}{
		{"S214 a menu without digests says nothing to compare", menu.Menu{entry(1, "", "j"), entry(2, "", "j")}, ""},
		{"S214 one of another digest is named with both", menu.Menu{entry(1, "", "j"), entry(2, "3", "j")}, "s.a.v2: invalid: the responders disagree about its schema: 2 at i, 3 at j"},
		{"S215 equal digests", menu.Menu{entry(1, "1", "j"), entry(2, "2", "j")}, ""},
		{"S215 fewer there", menu.Menu{entry(2, "2", "j")}, ""},
		{"S215 fewer here", menu.Menu{entry(1, "1", "j"), entry(2, "2", "j"), entry(3, "3", "j")}, ""},
		{"S215 none there", nil, ""},
	} {
		t.Run(s.name, func(t *testing.T) {
			err := slices.Concat(here, s.there).Check()
			if (err != nil) != (s.wrong != "") || err != nil && err.Error() != s.wrong {
				t.Errorf("got %v, want %q", err, s.wrong)
			}
		})
	}
}

// Breakfasts as they are at version 1 and at version 2, with its fields in
// another order, and with one of another type.
type (
	breakfast1 struct {
		Waffles  string
		Pancakes int
	}
	breakfast2 struct {
		Waffles  string
		Pancakes int
		Crepes   bool
	}
	reordered2 struct {
		Waffles  string
		Crepes   bool
		Pancakes int
	}
	retyped2 struct {
		Waffles  string
		Pancakes int
		Crepes   int
	}
)

func withCrepes(b breakfast1) breakfast2 { return breakfast2{b.Waffles, b.Pancakes, true} }

func unchanged[T any](v T) T { return v }

func unaries[Q any](version int) unaryrpc.RPC[Q, string] {
	return unaryrpc.RPC[Q, string]{Name: "s.breakfast", Version: version}
}

func pipes[Q any](version int) piperpc.RPC[Q, string] {
	return piperpc.RPC[Q, string]{Name: "s.breakfast", Version: version}
}

func states[Q any](version int) staterpc.RPC[Q, string, string] {
	return staterpc.RPC[Q, string, string]{Name: "s.breakfast", Version: version}
}

// The order of fields does not matter to what is sent; their types do.
func TestTypesOfOneVersion(t *testing.T) {
	t.Run("S242 S243 twelve pairs of callers and callees of a unary RPC", func(t *testing.T) {
		two := unaries[breakfast2](2)
		both := versioned.New(two, versioned.Via(unaries[breakfast1](1), nil, unaryrpc.Convert(withCrepes, unchanged[string])))
		twelvePairs(t, unaries[breakfast1](1), two, both, unaries[breakfast2](9), unaries[reordered2](2), unaries[retyped2](2))
	})
	t.Run("S248 the same twelve pairs of a pipe", func(t *testing.T) {
		two := pipes[breakfast2](2)
		both := versioned.New(two, versioned.Via(pipes[breakfast1](1), nil, piperpc.Convert(withCrepes, unchanged[string])))
		twelvePairs(t, pipes[breakfast1](1), two, both, pipes[breakfast2](9), pipes[reordered2](2), pipes[retyped2](2))
	})
	t.Run("S248 the same twelve pairs of a state", func(t *testing.T) {
		two := states[breakfast2](2)
		both := versioned.New(two, versioned.Via(states[breakfast1](1), nil, staterpc.Convert(withCrepes, unchanged[string], unchanged[string])))
		twelvePairs(t, states[breakfast1](1), two, both, states[breakfast2](9), states[reordered2](2), states[retyped2](2))
	})
}

func twelvePairs[F1, F2, F3, F4 any](t *testing.T, one bus.Definition[F1], two, both, other bus.Definition[F2], reordered bus.Definition[F3], retyped bus.Definition[F4]) {
	const v1, v2, none = "s.breakfast.v1", "s.breakfast.v2", string(bus.Unserved)
	wrong := string(bus.Invalid)
	for _, row := range []struct {
		callee                          string
		one, two, reordered, retyped    string
		want1, want2, wantRe, wantRetyp string
	}{
		{"without a common version", pair(one, other), pair(two, other), pair(reordered, other), pair(retyped, other), none, none, none, none},
		{"of version 2", pair(one, two), pair(two, two), pair(reordered, two), pair(retyped, two), none, v2, v2, wrong},
		{"of version 1", pair(one, one), pair(two, one), pair(reordered, one), pair(retyped, one), v1, none, none, none},
		{"of both", pair(one, both), pair(two, both), pair(reordered, both), pair(retyped, both), v1, v2, v2, wrong},
	} {
		saw(t, "a callee "+row.callee,
			[]string{row.one, row.two, row.reordered, row.retyped}, []string{row.want1, row.want2, row.wantRe, row.wantRetyp})
	}
	_, err := versioned.Choose(retyped, two)
	failed(t, err, bus.Invalid, v2, "called as "+retyped.Members()[0].Schema.Digest(), "served as "+two.Members()[0].Schema.Digest())
}

func pair[F, G any](caller bus.Definition[F], callee bus.Definition[G]) string {
	return outcome(versioned.Choose(caller, callee))
}

// A menuOf serves versions of one name, and nothing is called.
type menuOf []int

func (m menuOf) Served(context.Context, string) ([]int, error) { return m, nil }

func (m menuOf) Call(context.Context, bus.Call) (bus.Reply, error) {
	return bus.Reply{}, bus.NoResponder
}

func TestLargeMenus(t *testing.T) {
	t.Run("S213 among 10000 other versions there is none, and one in common is found without an allocation", func(t *testing.T) {
		served := make(menuOf, 10_000)
		for i := range served {
			served[i] = 10 + i
		}
		f := family(3, 2, 1)
		_, err := f.Pick(t.Context(), served)
		failed(t, err, bus.Unserved, "s.tag", "10009", "[3 2 1]")
		served[len(served)-1] = 1
		var caller bus.Caller = served
		saw(t, "chosen", outcome(f.Pick(t.Context(), caller)), "s.tag.v1")
		ctx := t.Context()
		saw(t, "allocations", testing.AllocsPerRun(100, func() { _, _ = f.Pick(ctx, caller) }), 0)
	})
}
