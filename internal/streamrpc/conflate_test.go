// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/bus"
)

// A live Func yields what is sent to it, until its context is done.
type live struct {
	items chan taken[string]
	ended bool // the loop over its updates
}

func newLive() *live { return &live{items: make(chan taken[string])} }

func (l *live) open(ctx context.Context, _ int) (int, iter.Seq2[string, error], error) {
	return 0, func(yield func(string, error) bool) {
		defer func() { l.ended = true }()
		for {
			select {
			case t, more := <-l.items:
				if !more || !yield(t.update, t.err) {
					return
				}
			case <-ctx.Done():
				yield("", ctx.Err())
				return
			}
		}
	}, nil
}

// put sends an update for each string, and an error for each error.
func (l *live) put(items ...any) {
	for _, item := range items {
		s, _ := item.(string)
		err, _ := item.(error)
		l.items <- taken[string]{s, err}
	}
}

// send is put that waits until all has been worked off.
func (l *live) send(items ...any) {
	l.put(items...)
	synctest.Wait()
}

func join(older, newer string) string { return older + "+" + newer }

// conflated opens l behind a Conflate.
func conflated(ctx context.Context, l *live, merge func(older, newer string) string) iter.Seq2[string, error] {
	_, updates, err := Conflate(l.open, merge)(ctx, 0)
	if err != nil {
		panic(err)
	}
	return updates
}

// script loops over updates. At each it notes what it got, and does what comes
// next of steps.
func script(updates iter.Seq2[string, error], steps ...func()) (seen []string) {
	for u, err := range updates {
		if err != nil {
			u = err.Error()
		}
		seen = append(seen, u)
		if len(seen) <= len(steps) {
			steps[len(seen)-1]()
		}
	}
	return seen
}

func TestWhatComesWhileTheReaderIsBusyIsMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive()
		go l.put("1")
		seen := script(conflated(t.Context(), l, join),
			func() { l.send("2", "3", "4") },
			func() { go l.put("5") }, // when it keeps up again
			func() { l.send("6", "7"); close(l.items) })
		wants(t, seen, "1", "2+3+4", "5", "6+7")
	})
}

func TestWhatCannotBeMergedKeepsItsPlace(t *testing.T) {
	element, broken, end := &bus.ElementError{Err: errOdd}, &bus.Break{Err: errOdd}, errors.New("the end")
	for name, tc := range map[string]struct {
		sent []any
		want []string
	}{
		"an element's error":  {[]any{"2", "3", element, "4", "5"}, []string{"2+3", element.Error(), "4+5"}},
		"two of them":         {[]any{element, element, "2"}, []string{element.Error(), element.Error(), "2"}},
		"a break":             {[]any{"2", "3", broken, &bus.Break{}, "4"}, []string{"2+3", broken.Error(), (&bus.Break{}).Error(), "4"}},
		"the end in an error": {[]any{"2", "3", end}, []string{"2+3", "the end"}},
		"the end":             {[]any{"2", "3"}, []string{"2+3"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLive()
				var sending sync.WaitGroup
				sending.Go(func() { l.put("1") })
				seen := script(conflated(t.Context(), l, join), func() {
					sending.Go(func() { l.put(tc.sent...); close(l.items) })
					synctest.Wait()
				}, synctest.Wait, synctest.Wait, synctest.Wait) // so that all is taken that can be
				sending.Wait()
				wants(t, seen, append([]string{"1"}, tc.want...)...)
			})
		})
	}
}

func TestNothingMoreIsTakenWhileAnErrorWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive()
		sent := 0
		go func() {
			for _, item := range []any{"1", "2", &bus.ElementError{Err: errOdd}, "3", "4"} {
				l.put(item)
				sent++
			}
			close(l.items)
		}()
		script(conflated(t.Context(), l, join), func() {
			synctest.Wait()
			if sent != 3 {
				t.Errorf("%d were taken while the first was read, want it, the update after it and the error", sent)
			}
		})
	})
}

// TestNoGoroutineIsLeftWhicheverWayALoopIsLeft ends with synctest's own check, and
// the one of the package.
func TestNoGoroutineIsLeftWhicheverWayALoopIsLeft(t *testing.T) {
	for name, leave := range map[string]func(l *live, cancel func(), updates iter.Seq2[string, error]){
		"a break": func(_ *live, _ func(), updates iter.Seq2[string, error]) {
			for range updates {
				break
			}
		},
		"a break with more to take": func(l *live, _ func(), updates iter.Seq2[string, error]) {
			for range updates {
				l.send("2", "3")
				break
			}
		},
		"a break before an error": func(l *live, _ func(), updates iter.Seq2[string, error]) {
			for range updates {
				l.send("2", &bus.ElementError{Err: errOdd})
				break
			}
		},
		"its end": func(l *live, _ func(), updates iter.Seq2[string, error]) {
			for range updates {
				close(l.items)
			}
		},
		"an error": func(l *live, _ func(), updates iter.Seq2[string, error]) {
			for _, err := range updates {
				if err == nil {
					go l.put(errOdd)
				}
			}
		},
		"its context": func(_ *live, cancel func(), updates iter.Seq2[string, error]) {
			var last error
			for _, last = range updates {
				cancel()
			}
			if !errors.Is(last, context.Canceled) {
				panic(last)
			}
		},
		"a panic of the body": func(_ *live, _ func(), updates iter.Seq2[string, error]) {
			defer func() {
				if p := recover(); p != "of the body" {
					panic(p)
				}
			}()
			for range updates {
				panic("of the body")
			}
		},
		"runtime.Goexit in the body": func(_ *live, _ func(), updates iter.Seq2[string, error]) {
			var wg sync.WaitGroup
			wg.Go(func() {
				for range updates {
					runtime.Goexit()
				}
			})
			wg.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLive()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				updates := conflated(ctx, l, join)
				go l.put("1")
				leave(l, cancel, updates)
				if !l.ended { // without having waited
					t.Error("the loop was left before its goroutine")
				}
			})
		})
	}
}

func TestABreakStopsWhoLooksAtNothingElse(t *testing.T) {
	ended := false
	_, updates, _ := Conflate(func(context.Context, int) (int, iter.Seq2[int, error], error) {
		return 0, func(yield func(int, error) bool) {
			for yield(1, nil) {
			}
			ended = true
		}, nil
	}, func(older, newer int) int { return older + newer })(t.Context(), 0)
	for range updates {
		break
	}
	if !ended {
		t.Error("the loop was left before its goroutine")
	}
}

func TestAPanicOfAMergeIsTheReaders(t *testing.T) {
	for name, later := range map[string]bool{"who takes on": true, "who leaves": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLive()
				updates := conflated(t.Context(), l, func(string, string) string { panic(errOdd) })
				go l.put("1")
				var got any
				func() {
					defer func() { got = recover() }()
					for range updates {
						l.send("2", "3")
						if !later {
							break
						}
					}
				}()
				if got != errOdd || !l.ended {
					t.Errorf("recovered %v; the stream has ended: %v", got, l.ended)
				}
			})
		})
	}
}

func TestAPanicOfTheBodyComesBeforeThatOfAMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive()
		updates := conflated(t.Context(), l, func(string, string) string { panic(errOdd) })
		go l.put("1")
		defer func() {
			if got := recover(); got != "of the body" || !l.ended {
				t.Errorf("recovered %v; the stream has ended: %v", got, l.ended)
			}
		}()
		for range updates {
			l.send("2", "3")
			panic("of the body")
		}
	})
}

func TestGoexitInAMergeIsTheReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive()
		updates := conflated(t.Context(), l, func(string, string) string { runtime.Goexit(); return "" })
		var wg sync.WaitGroup
		went := false
		wg.Go(func() {
			defer func() { went = true }()
			for range updates {
				l.send("2", "3")
			}
			t.Error("the loop ended as if its stream had")
		})
		l.put("1")
		wg.Wait()
		if !went || !l.ended {
			t.Error("the reader is not at its end")
		}
	})
}

// A basket is an update that knows whether a merge has made it.
type basket struct {
	items []int
	made  bool
}

// TestWhatAMergeHasMadeIsItsOwn has a merge that changes what it made: nothing that
// was sent or read changes with it.
func TestWhatAMergeHasMadeIsItsOwn(t *testing.T) {
	gather := func(older, newer *basket) *basket {
		if !older.made {
			older = &basket{slices.Clone(older.items), true}
		}
		older.items = append(older.items, newer.items...)
		return older
	}
	synctest.Test(t, func(t *testing.T) {
		var sent, read []*basket
		next := make(chan *basket)
		_, updates, _ := Conflate(func(context.Context, int) (int, iter.Seq2[*basket, error], error) {
			return 0, func(yield func(*basket, error) bool) {
				for u := range next {
					if !yield(u, nil) {
						return
					}
				}
			}, nil
		}, gather)(t.Context(), 0)
		send := func(n int) {
			for range n {
				sent = append(sent, &basket{items: []int{len(sent)}})
				next <- sent[len(sent)-1]
			}
		}
		go send(1)
		var sizes []int
		for u := range updates {
			read, sizes = append(read, u), append(sizes, len(u.items))
			if len(read) == 4 {
				close(next)
				break
			}
			send(3)
			synctest.Wait()
		}
		if !slices.Equal(sizes, []int{1, 3, 3, 3}) {
			t.Errorf("read %v updates at a time", sizes)
		}
		for i, u := range read {
			if len(u.items) != sizes[i] {
				t.Errorf("what was read as %d updates has become %d", sizes[i], len(u.items))
			}
		}
		for i, u := range sent {
			if u.made || !slices.Equal(u.items, []int{i}) {
				t.Errorf("what was sent has become %v", u)
			}
		}
	})
}

func TestWhatIsNotOpenedIsNotConflated(t *testing.T) {
	if Conflate[int, int](nil, join) != nil || Conflate(newLive().open, nil) != nil {
		t.Error("a nil Func or merge became something to call")
	}
	for name, f := range map[string]Func[int, int, string]{
		"refused": func(ctx context.Context, _ int) (int, iter.Seq2[string, error], error) {
			return 0, nil, errOdd
		},
		"without updates": func(ctx context.Context, _ int) (int, iter.Seq2[string, error], error) { return 7, nil, nil },
	} {
		var inner context.Context
		s, updates, err := Conflate(func(ctx context.Context, q int) (int, iter.Seq2[string, error], error) {
			inner = ctx
			return f(ctx, q)
		}, join)(t.Context(), 0)
		if updates != nil || (err != nil) != (name == "refused") || err == nil && s != 7 {
			t.Errorf("%s: got %v, %v", name, s, err)
		}
		if inner.Err() == nil {
			t.Errorf("%s: the context of the call is not over", name)
		}
	}
}

func TestASecondLoopOverMergedUpdatesIsAnError(t *testing.T) {
	_, updates, _ := Conflate(func(context.Context, int) (int, iter.Seq2[int, error], error) { return 0, of(1), nil },
		func(_, newer int) int { return newer })(t.Context(), 0)
	wants(t, list(updates), "1")
	if seen := list(updates); len(seen) != 1 || !strings.Contains(seen[0], "looped over before") {
		t.Errorf("got %q", seen)
	}
}

// BenchmarkConflate has a reader that keeps up, with and without.
func BenchmarkConflate(b *testing.B) {
	many := func(_ context.Context, n int) (int, iter.Seq2[int, error], error) {
		return 0, func(yield func(int, error) bool) {
			for i := 0; i < n && yield(i, nil); i++ {
			}
		}, nil
	}
	for name, f := range map[string]Func[int, int, int]{
		"plain": many, "conflated": Conflate(many, func(older, newer int) int { return older + newer }),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			_, updates, err := f(b.Context(), b.N)
			if err != nil {
				b.Fatal(err)
			}
			read := 0
			for range updates {
				read++
			}
			b.ReportMetric(float64(read)/float64(b.N), "read/update")
		})
	}
}
