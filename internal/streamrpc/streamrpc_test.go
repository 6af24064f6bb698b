// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/durabus/durabus/bus"
)

var errOdd = errors.New("odd")

// of yields vs: a number as an update, an error as an error.
func of(vs ...any) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for _, v := range vs {
			n, _ := v.(int)
			err, _ := v.(error)
			if !yield(n, err) {
				return
			}
		}
	}
}

// list is what a loop over updates saw.
func list[U any](updates iter.Seq2[U, error]) (seen []string) {
	for u, err := range updates {
		if err != nil {
			seen = append(seen, err.Error())
		} else {
			seen = append(seen, fmt.Sprint(u))
		}
	}
	return seen
}

// first is list's first n.
func first[U any](updates iter.Seq2[U, error], n int) (seen []string) {
	for u, err := range updates {
		seen = append(seen, fmt.Sprintf("%v %v", u, err))
		if len(seen) == n {
			break
		}
	}
	return seen
}

func wants(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMapReplacesWhatFailsAndGoesOn(t *testing.T) {
	half := func(n int) (string, error) {
		if n%2 == 1 {
			return "", errOdd
		}
		return fmt.Sprint(n / 2), nil
	}
	end := errors.New("end")
	wants(t, list(Map(of(2, 3, 4, end), half)), "1", "an update was not converted: odd", "2", "end")
	wants(t, first(Map(of(2, 4, 6), half), 2), "1 <nil>", "2 <nil>")
}

func TestSplitYieldsNoneOneOrMany(t *testing.T) {
	times := func(n int, yield func(int) bool) error {
		for range n {
			yield(n) // does not look at what yield says
		}
		if n%2 == 1 {
			return errOdd
		}
		return nil
	}
	end := errors.New("end")
	wants(t, list(Split(of(0, 1, 2, end), times)), "1", "an update was not converted: odd", "2", "2", "end")
	wants(t, first(Split(of(1, 3, 5), times), 3), "1 <nil>", "0 an update was not converted: odd", "3 <nil>")
}

func TestConversionsOfNilUpdatesAreNil(t *testing.T) {
	if Map(nil, func(int) (int, error) { return 0, nil }) != nil ||
		Split(nil, func(int, func(int) bool) error { return nil }) != nil ||
		Convert(nil, func(n int) int { return n }, nil) != nil {
		t.Error("not nil")
	}
	for range mapErrors[int](nil, nil) { // behind which a caller may be, who loops
		t.Error("an update")
	}
}

type errV1 struct{ N int }

func (e errV1) Error() string { return fmt.Sprint("v1: ", e.N) }

type errV2 struct{ N int }

func (e errV2) Error() string { return fmt.Sprint("v2: ", e.N) }

func TestConvertLeavesTheErrorsOfUpdatesAlone(t *testing.T) {
	maps := []bus.ErrorMap{bus.MapError(func(e errV1) errV2 { return errV2(e) })}
	updates := Convert(of(1, &bus.ElementError{Err: errV1{2}}, 3, errV1{4}), func(n int) int { return -n }, maps)
	wants(t, list(updates), "-1", "an update was not converted: v1: 2", "-3", "v2: 4")
}

func TestMapErrorsEndsWhereItMakesAnEnd(t *testing.T) {
	f := Func[int, int, int](func(context.Context, int) (int, iter.Seq2[int, error], error) {
		return 7, of(1, &bus.ElementError{Err: errOdd}, 3), nil
	})
	s, updates, err := MapErrors(f, func(error) error { return bus.Lost })(t.Context(), 0)
	if s != 7 || err != nil {
		t.Errorf("got %v, %v", s, err)
	}
	wants(t, list(updates), "1", bus.Lost.Error())
}

func TestASecondLoopIsAnError(t *testing.T) {
	d := bus.Description{Name: "a.stream", Version: 1, Kind: bus.Pipe}
	updates := SingleUse(d, of(1, 2))
	wants(t, first(updates, 1), "1 <nil>")
	for range 2 {
		seen := list(updates)
		wants(t, seen, "a.stream.v1: invalid: these updates were looped over before; open the stream again")
	}
}

// A caller records the calls that it is given, and answers none.
type caller struct{ calls []bus.Call }

func (c *caller) Call(_ context.Context, call bus.Call) (bus.Reply, error) {
	c.calls = append(c.calls, call)
	return bus.Reply{}, nil
}

func (c *caller) Served(context.Context, string) ([]int, error) { return nil, nil }

func TestAClientPassesItsDefinitionOn(t *testing.T) {
	rpc := RPC[string, struct{}, []byte]{
		Description: bus.Description{Name: "a.pipe", Version: 1, Kind: bus.Pipe},
		Idempotent:  true, Window: 1 << 20,
	}
	var c caller
	_, updates, err := rpc.Client(&c)(bus.WithMetadata(t.Context(), bus.Metadata{"a": "b"}), "query")
	if err != nil {
		t.Fatal(err)
	}
	wants(t, list(updates)) // a reply without updates is an empty stream
	call := c.calls[0]
	if call.Window != 1<<20 || !call.Idempotent || string(call.Query) != `"query"` ||
		call.ContentType != bus.Bytes.ContentType() || call.Metadata["a"] != "b" || call.Description != rpc.Description {
		t.Errorf("got %+v", call)
	}
}

func TestAClientThatPanicsReleasesItsStream(t *testing.T) {
	rpc := RPC[string, int, int]{Description: bus.Description{Name: "a.state", Version: 1, Kind: bus.State}}
	var passed context.Context
	c := bus.Wrap(&caller{}, func(bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, _ bus.Call) (bus.Reply, error) {
			passed = ctx
			panic("of middleware")
		}
	})
	func() {
		defer func() { _ = recover() }()
		_, _, _ = rpc.Client(c)(t.Context(), "")
	}()
	if passed.Err() == nil {
		t.Error("the call's context is alive")
	}
}
