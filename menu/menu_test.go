// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/durabus/durabus/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// responder serves RPCs, named as name.vN, under an instance's name.
func responder(instance string, ds ...bus.Description) bus.Caller {
	hs := make([]bus.Handler, len(ds))
	for i, d := range ds {
		hs[i] = bus.Handler{Description: d, Call: func(context.Context, bus.Call) (bus.Reply, error) { return bus.Reply{}, nil }}
	}
	return bus.Wrap(bus.Local(hs...), func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			r, err := next(ctx, c)
			r.Instance = instance
			return r, err
		}
	})
}

// A cluster is a fleet of responders by instance.
type cluster struct {
	bus.Caller
	instances []string
	err       error
	at        map[string]bus.Caller
}

func (c cluster) Instances(context.Context) ([]string, error) { return c.instances, c.err }
func (c cluster) At(instance string) bus.Caller               { return c.at[instance] }

// failing answers every call with err, once ctx is done if err is nil.
type failing struct{ err error }

func (f failing) Call(ctx context.Context, _ bus.Call) (bus.Reply, error) {
	if f.err != nil {
		return bus.Reply{}, f.err
	}
	<-ctx.Done()
	return bus.Reply{}, ctx.Err()
}

func (failing) Served(context.Context, string) ([]int, error) { return nil, nil }

var (
	prices1 = bus.Description{Name: "market.prices", Version: 1, Kind: bus.State}
	prices2 = bus.Description{Name: "market.prices", Version: 2, Kind: bus.State}
	trades  = bus.Description{Name: "market.trades", Version: 1, Kind: bus.Pipe}
)

// lines are m as text, without the menu's own entry.
func lines(m Menu) (ls []string) {
	for _, e := range m {
		if e.Description != bus.MenuDescription {
			ls = append(ls, fmt.Sprint(e.Description, " ", e.Kind, " ", e.Instances))
		}
	}
	return ls
}

// What a responder says of itself is printed by those who look at fleets.
func TestWhatIsNoTextForALineIsNotOnAMenu(t *testing.T) {
	const forged = "x\n09:00:00.000 gone market.prices.v1 state"
	answer := func(text string) bus.Caller {
		return bus.Wrap(bus.Local(), func(bus.CallFunc) bus.CallFunc {
			return func(context.Context, bus.Call) (bus.Reply, error) {
				b, err := json.Marshal([]bus.MenuEntry{{Name: "a", Version: 1, Kind: bus.Unary, ContentType: text, Digest: text}})
				return bus.Reply{Info: bus.Info{Instance: text}, First: b}, err
			}
		})
	}
	for text, want := range map[string]string{forged: "", "a\tb": "", "\u009b2J": "", strings.Repeat("x", mostText+1): "", "text/x; charset=ä": "text/x; charset=ä"} {
		m, err := Fetch(t.Context(), answer(text))
		if e := m[0]; err != nil || e.ContentType != want || e.Digest != want || e.Instances[0] != want {
			t.Errorf("%q: %q, %v", text, e, err)
		}
	}
}

func TestTheMenuOfAFleetIsTheUnionOfItsResponders(t *testing.T) {
	fleet := cluster{instances: []string{"b", "c", "a", "left", "b"}, at: map[string]bus.Caller{
		"a":    responder("a", prices2, prices1),
		"b":    responder("b", trades, prices2),
		"c":    responder("c", bus.Description{Name: "market.prices", Version: 2, Kind: bus.Pipe}),
		"left": failing{bus.Gone},
	}}
	m, err := Fetch(t.Context(), fleet)
	want := []string{
		"market.prices.v1 state [a]", "market.prices.v2 pipe [c]", "market.prices.v2 state [a b]", "market.trades.v1 pipe [b]",
	}
	if err != nil || !slices.Equal(lines(m), want) {
		t.Errorf("got %q, %v; want %q", lines(m), err, want)
	}
	if got := m.Names(); !slices.Equal(got, []string{"durabus.menu", "market.prices", "market.trades"}) {
		t.Errorf("names: %v", got)
	}
	if got := m.Versions("market.prices"); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("versions: %v", got)
	}
	if got := m.Versions("market"); got != nil {
		t.Errorf("versions of a name that nobody serves: %v", got)
	}
}

func TestTheMenuOfOneResponderIsItsOwn(t *testing.T) {
	m, err := Fetch(t.Context(), responder("a", trades))
	if err != nil || !slices.Equal(lines(m), []string{"market.trades.v1 pipe [a]"}) {
		t.Errorf("got %q, %v", lines(m), err)
	}
}

func TestAResponderThatDoesNotAnswerIsNamedAndTheRestIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		fleet := cluster{at: map[string]bus.Caller{}}
		for i := range 3 * concurrent {
			instance := fmt.Sprintf("i%02d", i)
			fleet.instances = append(fleet.instances, instance)
			fleet.at[instance] = responder(instance, trades)
		}
		fleet.at["i07"] = failing{}
		m, err := Fetch(ctx, fleet)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "i07") {
			t.Errorf("got %v", err)
		}
		if n := len(m[len(m)-1].Instances); n != 3*concurrent-1 {
			t.Errorf("%d instances serve %v", n, m[len(m)-1].Description)
		}
	})
}

func TestMenusOfTooManyLinesAreLeftOut(t *testing.T) {
	var long []bus.Description
	for n := range mostLines/2 + 1 {
		long = append(long, bus.Description{Name: fmt.Sprintf("x%d", n), Version: 1, Kind: bus.Unary})
	}
	fleet := cluster{instances: []string{"one", "two"}, at: map[string]bus.Caller{
		"one": responder("one", long...), "two": responder("two", long...),
	}}
	m, err := Fetch(t.Context(), fleet)
	if !errors.Is(err, bus.TooLarge) || !strings.Contains(err.Error(), "instance ") {
		t.Errorf("got %v, want which is left out", err)
	}
	for _, e := range m {
		if len(e.Instances) != 1 {
			t.Fatalf("%v is of %v", e.Description, e.Instances)
		}
	}
	if len(m) <= mostLines/2 || len(m) > mostLines {
		t.Errorf("%d lines, want those of one", len(m))
	}
}

func TestWhatIsNoMenuIsAnError(t *testing.T) {
	broken := errors.New("broken")
	notJSON := bus.Wrap(failing{}, func(bus.CallFunc) bus.CallFunc {
		return func(context.Context, bus.Call) (bus.Reply, error) { return bus.Reply{First: []byte("soup")}, nil }
	})
	for name, tc := range map[string]struct {
		c    bus.Caller
		want error
	}{
		"no caller":        {nil, bus.Invalid},
		"no instances":     {cluster{}, bus.NoResponder},
		"unknown fleet":    {cluster{err: broken}, broken},
		"not JSON":         {notJSON, bus.Undecodable},
		"nobody to answer": {failing{bus.NoResponder}, bus.NoResponder},
	} {
		if m, err := Fetch(t.Context(), tc.c); !errors.Is(err, tc.want) || m != nil {
			t.Errorf("%s: got %v, %v; want %v", name, m, err, tc.want)
		}
	}
}

func TestNearestNamesComeInOrderOfLikenessThenOfTheAlphabet(t *testing.T) {
	var m Menu
	for _, name := range []string{"hello.greet", "hello.great", "hello.clock", "market.prices", "x"} {
		m = append(m, Entry{Description: bus.Description{Name: name, Version: 1, Kind: bus.Unary}})
	}
	for _, tc := range []struct {
		name string
		n    int
		want []string
	}{
		{"hello.gret", 2, []string{"hello.great", "hello.greet"}},
		{"hello.gret", 1, []string{"hello.great"}},
		{"Hello.Clock", 3, []string{"hello.clock", "hello.great", "hello.greet"}},
		{"market.price", 9, []string{"market.prices"}},
		{"hello.greet", 1, []string{"hello.greet"}},
		{"", 9, nil},
		{"nothing.of.the.kind.at.all", 9, nil},
		{"x", 0, nil},
		{"x", -1, nil},
	} {
		if got := m.Nearest(tc.name, tc.n); !slices.Equal(got, tc.want) {
			t.Errorf("%q: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestDistanceCountsEdits(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "ABC", 0},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
		{"ab", "ba", 2},
	} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q to %q: got %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
