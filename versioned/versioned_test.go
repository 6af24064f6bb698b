// SPDX-License-Identifier: Apache-2.0

package versioned

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

type (
	v1   = unaryrpc.Func[int, int]
	v2   = unaryrpc.Func[string, string]
	rpc1 = unaryrpc.RPC[int, int]
	rpc2 = unaryrpc.RPC[string, string]
)

var (
	one   = rpc1{Name: "a.number", Version: 1}
	two   = rpc2{Name: "a.number", Version: 2}
	three = rpc2{Name: "a.number", Version: 3}

	up   = unaryrpc.Convert(number, strconv.Itoa)
	down = unaryrpc.Convert(strconv.Itoa, number)
)

func number(s string) int { n, _ := strconv.Atoi(s); return n }

func echo(_ context.Context, q string) (string, error) { return q, nil }

// A stale caller says that versions are served which are not.
type stale struct {
	bus.Caller
	served []int
}

func (s stale) Served(context.Context, string) ([]int, error) { return s.served, nil }

func TestAVersionThatIsNotServedAnyMoreIsPassedOver(t *testing.T) {
	family := New(three, two, Via(one, up, down))
	c := stale{bus.Local(one.Handler(func(_ context.Context, n int) (int, error) { return n + 1, nil })), []int{1, 2, 3}}
	var info bus.Info
	answer, err := family.Client(c)(bus.WithInfo(t.Context(), &info), "41")
	if answer != "42" || err != nil || info.RPC != one.Describe() {
		t.Errorf("got %q, %v from %v", answer, err, info.RPC)
	}
	c.Caller = bus.Local(rpc2{Name: "a.number", Version: 4}.Handler(echo))
	_, err = family.Client(c)(t.Context(), "41")
	if !errors.Is(err, bus.Unserved) {
		t.Errorf("got %v", err)
	}
}

func TestPreferenceIsTheOrderOfNewUnlessPreferSaysOtherwise(t *testing.T) {
	family := New(three, two, Via(one, up, down))
	all := bus.Local(family.Handlers(echo)...)
	for _, tc := range []struct {
		family Family[v2]
		order  []int
	}{
		{family, []int{3, 2, 1}},
		{family.Prefer(2), []int{2, 3, 1}},
		{family.Prefer(1, 2), []int{1, 2, 3}},
		{family.Prefer(7), []int{3, 2, 1}},
		{New(family.Prefer(2)), []int{2, 3, 1}},
	} {
		if got := tc.family.Versions(); !slices.Equal(got, tc.order) {
			t.Errorf("order %v, want %v", got, tc.order)
		}
		if d, err := tc.family.Pick(t.Context(), all); err != nil || d.Version != tc.order[0] {
			t.Errorf("picked %v, %v; want version %d", d, err, tc.order[0])
		}
	}
	want := []bus.Description{three.Describe(), two.Describe(), one.Describe()}
	if got := family.RPCs(); family.Name() != "a.number" || !slices.Equal(got, want) {
		t.Errorf("%s: %v", family.Name(), got)
	}
}

func TestASideWithoutItsConversionDoesNotOfferTheVersion(t *testing.T) {
	callers := New(two, Via(one, up, nil))
	callees := New(two, Via(one, nil, down))
	if n := len(callers.Handlers(echo)); n != 1 {
		t.Errorf("%d handlers, want that of version 2", n)
	}
	if n := len(callees.Handlers(echo)); n != 2 {
		t.Errorf("%d handlers, want 2", n)
	}
	_, err := callees.Pick(t.Context(), bus.Local(one.Handler(func(_ context.Context, n int) (int, error) { return n, nil })))
	says(t, err, bus.Unserved, "served: [1]", "called here: [2]")
}

func TestChooseFindsTheVersionOfTwoPrograms(t *testing.T) {
	old, young := New[v1](one), New(three, two, Via(one, up, down))
	for name, tc := range map[string]struct {
		chosen bus.Description
		err    error
		want   int
		words  []string
	}{
		"both are young":      choice(Choose(young, young))(3),
		"the callee is old":   choice(Choose(young, old))(1),
		"the caller is old":   choice(Choose(old, young))(1),
		"nothing in common":   choice(Choose(old, New(three, two)))(0, "served: [3 2]", "called: [1]"),
		"nobody can call":     choice(Choose(New(Via(one, nil, down)), old))(0, "called: []"),
		"a nil definition":    choice(Choose[v1, v1](nil, old))(0, "nil definition"),
		"a misused family":    choice(Choose(New(two, two), young))(0, "twice"),
		"another misused one": choice(Choose(young, New[v2]()))(0, "no versions"),
	} {
		if tc.chosen.Version != tc.want || (tc.err != nil) != (tc.want == 0) {
			t.Errorf("%s: chose %v, %v; want version %d", name, tc.chosen, tc.err, tc.want)
		}
		for _, w := range tc.words {
			if !strings.Contains(fmt.Sprint(tc.err), w) {
				t.Errorf("%s: %v does not say %q", name, tc.err, w)
			}
		}
	}
}

type chosen = struct {
	chosen bus.Description
	err    error
	want   int
	words  []string
}

func TestChooseTellsOfTypesThatDifferWithBothDigests(t *testing.T) {
	retyped := rpc1{Name: three.Name, Version: 3}
	d, err := Choose(New(three, two), retyped)
	if d != three.Describe() {
		t.Errorf("chose %v", d)
	}
	says(t, err, bus.Invalid, "a.number.v3", three.Schema().Digest(), retyped.Schema().Digest())
}

func choice(d bus.Description, err error) func(want int, words ...string) chosen {
	return func(want int, words ...string) chosen { return chosen{d, err, want, words} }
}

func TestAMisusedFamilySaysSoAndNeverPanics(t *testing.T) {
	other := rpc2{Name: "another.number", Version: 4}
	for name, tc := range map[string]struct {
		family Family[v2]
		says   string
	}{
		"of nothing":                {New[v2](), "no versions"},
		"of nil":                    {New[v2](nil), "nil definition"},
		"of two and nil":            {New(two, nil), "nil definition"},
		"via nil":                   {New(two, Via[v1](nil, up, down)), "nil definition"},
		"via nothing":               {New(two, Via(one, nil, (func(v2) v1)(nil))), "without a conversion"},
		"of one version twice":      {New(two, two), "twice"},
		"of two names":              {New(two, other), "in the family of a.number"},
		"with a bad name":           {New(two, rpc2{Name: "two words", Version: 3}), "' '"},
		"with a bad version":        {New(rpc2{Name: "a.number"}), "version 0"},
		"of a misused family":       {New(three, New(two, two)), "twice"},
		"via a misused family":      {New(two, Via(New[v1](one, nil), up, down)), "nil definition"},
		"and preferred":             {New(two, two).Prefer(2), "twice"},
		"that is a zero value":      {Family[v2]{}, ""},
		"whose conversion is empty": {New(two, Via(one, func(v1) v2 { return nil }, nil)), "nil Func"},
	} {
		t.Run(name, func(t *testing.T) {
			c := bus.Local(one.Handler(func(_ context.Context, n int) (int, error) { return n, nil }))
			_, err := tc.family.Client(c)(t.Context(), "1")
			if tc.says == "" {
				says(t, err, bus.NoResponder)
				return
			}
			says(t, err, bus.Invalid, tc.says)
			if tc.says == "nil Func" {
				return // the callee's side of it is fine
			}
			_, err = tc.family.Pick(t.Context(), c)
			says(t, err, bus.Invalid, tc.says)
			_, err = bus.Local(tc.family.Handlers(echo)...).Call(t.Context(), bus.Call{Description: bus.MenuDescription})
			says(t, err, bus.Invalid, tc.says)
		})
	}
	_, err := New(two).Client(nil)(t.Context(), "1")
	says(t, err, bus.Invalid, "nil Caller")
	for name, hs := range map[string][]bus.Handler{
		"a nil implementation":  New(Via(one, up, down)).Handlers(nil),
		"a nil Func of down":    New(Via(one, up, func(v2) v1 { return nil })).Handlers(echo),
		"an implementation via": New(New(Via(one, up, down))).Handlers(nil),
	} {
		if len(hs) != 1 || hs[0].Call != nil {
			t.Errorf("%s: Serve would take %v", name, hs)
		}
	}
}

func says(t *testing.T, err error, code bus.Code, words ...string) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("got %v, want %v", err, code)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

// What a conversion returns tells who is to blame: itself, the caller below it,
// or a call that it made.
func TestErrorsAroundAConversionKeepTheirOrigin(t *testing.T) {
	elsewhere := &bus.Error{Code: bus.Unserved, RPC: bus.Description{Name: "elsewhere", Version: 1, Kind: bus.Unary}}
	for name, tc := range map[string]struct {
		up   func(v1) v2
		code bus.Code
	}{
		"its own":              {failing(errors.New("no number")), bus.Inconvertible},
		"its own, with a code": {failing(&bus.Error{Code: bus.TooLarge}), bus.TooLarge},
		"of another call":      {failing(elsewhere), bus.Inconvertible},
		"of the client": {func(f v1) v2 {
			return func(ctx context.Context, q string) (string, error) {
				_, err := f(ctx, number(q))
				return "", fmt.Errorf("while asking version 1: %w", err)
			}
		}, bus.Unauthorized},
	} {
		c := bus.Local(one.Handler(func(context.Context, int) (int, error) { return 0, bus.Unauthorized }))
		_, err := New(Via(one, tc.up, nil)).Client(c)(t.Context(), "1")
		if e, ok := errors.AsType[*bus.Error](err); !ok || e.Code != tc.code {
			t.Errorf("%s: got %v, want %v", name, err, tc.code)
		}
	}
}

func failing(err error) func(v1) v2 {
	return func(v1) v2 { return func(context.Context, string) (string, error) { return "", err } }
}

// silent answers with nothing and at no cost.
type silent struct{ served []int }

func (silent) Call(context.Context, bus.Call) (bus.Reply, error) {
	return bus.Reply{First: []byte(`"1"`)}, nil
}
func (s silent) Served(context.Context, string) ([]int, error) { return s.served, nil }

// A fickle caller's menu changes with each look at it.
type fickle struct {
	bus.Caller
	menus *[][]int
}

func (f fickle) Served(context.Context, string) ([]int, error) {
	now := (*f.menus)[0]
	if len(*f.menus) > 1 {
		*f.menus = (*f.menus)[1:]
	}
	return now, nil
}

// The last responder of version 1 leaves just after the first of version 2 has
// come, which a menu of a moment ago does not know.
func TestAVersionThatIsServedByNowIsUsed(t *testing.T) {
	family := New(three, two, Via(one, up, down))
	var info bus.Info
	c := fickle{bus.Local(two.Handler(echo)), &[][]int{{1}, {2}}}
	answer, err := family.Client(c)(bus.WithInfo(t.Context(), &info), "41")
	if answer != "41" || err != nil || info.RPC != two.Describe() {
		t.Errorf("got %q, %v from %v", answer, err, info.RPC)
	}
}

// What was asked for once is watched now: either side may be the older one.
func TestAKindMayChangeBetweenVersionsOnEitherSide(t *testing.T) {
	watched := staterpc.RPC[string, string, int]{Name: "a.number", Version: 2}
	type watch = staterpc.Func[string, string, int]
	family := New(watched, Via(two1, func(ask v2) watch {
		return func(ctx context.Context, q string) (string, iter.Seq2[int, error], error) {
			s, err := ask(ctx, q)
			return s, nil, err
		}
	}, func(f watch) v2 {
		return func(ctx context.Context, q string) (string, error) {
			ctx, cancel := context.WithCancel(ctx) // nobody reads the updates
			defer cancel()
			s, _, err := f(ctx, q)
			return s, err
		}
	}))
	state, updates, err := family.Client(bus.Local(two1.Handler(echo)))(t.Context(), "7")
	if state != "7" || err != nil {
		t.Errorf("a caller of the newer version: %q, %v", state, err)
	}
	for range updates {
		t.Error("an update of what was asked for once")
	}
	young := bus.Local(family.Handlers(func(_ context.Context, q string) (string, iter.Seq2[int, error], error) {
		if q == "" {
			return "", nil, bus.Unauthorized
		}
		return q, func(func(int, error) bool) {}, nil
	})...)
	if answer, err := two1.Client(young)(t.Context(), "7"); answer != "7" || err != nil {
		t.Errorf("a caller of the older version: %q, %v", answer, err)
	}
	_, err = two1.Client(young)(t.Context(), "")
	says(t, err, bus.Unauthorized)
}

var two1 = rpc2{Name: "a.number", Version: 1}
