// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
)

var traced = map[Kind]Description{
	OneWay: {"t.o", 1, OneWay}, Unary: {"t.u", 1, Unary}, Pipe: {"t.p", 1, Pipe}, State: {"t.s", 1, State},
}

// tracedHandlers answer "no" with Unauthorized, "panic" with a panic, and all
// else with four bytes and, where the kind has them, three updates, of which the
// second is in error.
func tracedHandlers() (hs []Handler) {
	for _, d := range traced {
		hs = append(hs, Handler{Description: d, Call: func(_ context.Context, c Call) (r Reply, err error) {
			switch string(c.Query) {
			case "no":
				return Reply{}, Unauthorized
			case "panic":
				panic("asked to")
			}
			if c.Kind == Unary || c.Kind == State {
				r.First = []byte("1234")
			}
			if c.Kind.Streams() {
				r.Updates = threeUpdates
			}
			return r, nil
		}})
	}
	return hs
}

func threeUpdates(yield func(Element, error) bool) {
	_ = yield(ElementOf([]byte("a")), nil) && yield(Element{}, &ElementError{Err: errors.New("b")}) && yield(ElementOf([]byte("c")), nil)
}

// A recorder keeps events in the order in which they came.
type recorder struct {
	mu     sync.Mutex
	events []TraceEvent
}

func (r *recorder) tell(ev TraceEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, ev)
}

// line is what was recorded of a side, without ids.
func (r *recorder) line(received bool) (s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		if ev.Received != received {
			continue
		}
		s += fmt.Sprintf("%v %d %d", ev.Kind, ev.Bytes, ev.Updates)
		if ev.Err != nil {
			s += " error"
		}
		s += "; "
	}
	return s
}

func read(updates iter.Seq2[Element, error], n int) {
	if updates == nil {
		return
	}
	for range updates {
		if n--; n == 0 {
			return
		}
	}
}

func TestATraceTellsOfEveryStepOnBothSides(t *testing.T) {
	for name, tc := range map[string]struct {
		kind  Kind
		query string
		read  int
		steps string // on either side
	}{
		"a message":            {OneWay, "q", 9, "queried 1 0; accepted 0 0; ended 0 0; "},
		"a call":               {Unary, "qq", 9, "queried 2 0; accepted 4 0; ended 0 0; "},
		"a call refused":       {Unary, "no", 9, "queried 2 0; ended 0 0 error; "},
		"a call that panics":   {Unary, "panic", 9, "queried 5 0; ended 0 0 error; "},
		"a pipe":               {Pipe, "q", 9, "queried 1 0; accepted 0 0; updated 0 1; updated 0 2 error; updated 0 3; ended 0 3; "},
		"a state":              {State, "q", 9, "queried 1 0; accepted 4 0; updated 0 1; updated 0 2 error; updated 0 3; ended 0 3; "},
		"a state that is left": {State, "q", 1, "queried 1 0; accepted 4 0; updated 0 1; ended 0 1 error; "},
	} {
		var rec recorder
		var hs []Handler
		for _, h := range tracedHandlers() {
			hs = append(hs, h.With(Trace(rec.tell)))
		}
		c := Wrap(Local(hs...), Trace(rec.tell))
		r, _ := c.Call(t.Context(), Call{Description: traced[tc.kind], Query: []byte(tc.query)})
		read(r.Updates, tc.read)
		if got := rec.line(false); got != tc.steps {
			t.Errorf("%s: the caller saw %s", name, got)
		}
		if got := rec.line(true); got != tc.steps {
			t.Errorf("%s: the responder saw %s", name, got)
		}
		if tc.kind == OneWay {
			continue // nobody tells the caller
		}
		id := rec.events[1].CallID
		for _, ev := range rec.events {
			if id == "" || ev.CallID != id && (ev.Received || ev.Kind != Queried) {
				t.Errorf("%s: %v has the id %q, not %q", name, ev.Kind, ev.CallID, id)
			}
		}
	}
}

// A proxy's own call has an id of its own.
func TestATraceTellsAProxysCallFromTheOneItAnswers(t *testing.T) {
	var rec recorder
	behind := Wrap(Local(tracedHandlers()...), Trace(rec.tell))
	d := traced[Unary]
	front := Local(Handler{Description: d, Call: behind.Call}.With(Trace(rec.tell)))
	r, err := front.Call(t.Context(), Call{Description: d})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range rec.events {
		if ev.Received && ev.CallID != r.CallID || !ev.Received && ev.CallID == r.CallID {
			t.Errorf("%v: received %v, id %q, the caller's is %q", ev.Kind, ev.Received, ev.CallID, r.CallID)
		}
	}
	if got := rec.line(true); got != "queried 0 0; accepted 4 0; ended 0 0; " || rec.line(false) != got {
		t.Error(got, rec.line(false))
	}
}

func TestOnFirstTellsOfEachServedVersionOnce(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	onFirst := OnFirst(func(d Description) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, d.String())
	})
	var hs []Handler
	for _, h := range tracedHandlers() {
		hs = append(hs, h.With(onFirst))
		h.Version = 2
		hs = append(hs, h.With(onFirst))
	}
	c := Local(hs...)
	for _, d := range traced {
		for _, refused := range []Description{d, {d.Name, 3, d.Kind}} {
			if _, err := c.Call(t.Context(), Call{Description: refused, Query: []byte("no")}); err == nil && d.Kind != OneWay {
				t.Errorf("%v was not refused", refused)
			}
		}
	}
	if len(seen) > 0 {
		t.Fatalf("seen before anything was served: %v", seen)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for _, d := range traced {
				_, _ = c.Call(t.Context(), Call{Description: d})
				_, _ = c.Call(t.Context(), Call{Description: Description{d.Name, 2, d.Kind}})
			}
		})
	}
	wg.Wait()
	slices.Sort(seen)
	if want := []string{"t.o.v1", "t.o.v2", "t.p.v1", "t.p.v2", "t.s.v1", "t.s.v2", "t.u.v1", "t.u.v2"}; !slices.Equal(seen, want) {
		t.Errorf("seen %v, want %v", seen, want)
	}
}

// A client sees a version only where somebody serves it.
func TestOnFirstAtACallerPassesOverUnservedVersions(t *testing.T) {
	var seen []Description
	c := Wrap(Local(tracedHandlers()...), OnFirst(func(d Description) { seen = append(seen, d) }))
	for _, v := range []int{3, 1, 1} {
		_, _ = c.Call(t.Context(), Call{Description: Description{"t.u", v, Unary}})
	}
	if want := []Description{traced[Unary]}; !slices.Equal(seen, want) {
		t.Errorf("seen %v, want %v", seen, want)
	}
}
