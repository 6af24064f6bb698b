// SPDX-License-Identifier: Apache-2.0

package staterpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/durabus/durabus/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func add(sum, n int) int { return sum + n }

func TestEveryWatcherSeesTheStateAndWhatFollows(t *testing.T) {
	p := NewPublisher(0, add, 10)
	p.Publish(1)
	s1, u1, err1 := p.Watch(t.Context())
	p.Publish(2)
	s2, u2, err2 := p.Watch(t.Context())
	p.Publish(3)
	if s1 != 1 || s2 != 3 || err1 != nil || err2 != nil {
		t.Errorf("states %d and %d, errors %v and %v", s1, s2, err1, err2)
	}
	if got := take(u1, 2); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("the first saw %v", got)
	}
	if got := take(u2, 1); !slices.Equal(got, []int{3}) {
		t.Errorf("the second saw %v", got)
	}
	if n := p.Watchers(); n != 0 {
		t.Errorf("%d watchers after they stopped", n)
	}
}

func take(updates iter.Seq2[int, error], n int) (seen []int) {
	for u := range upTo(updates, n) {
		seen = append(seen, u)
	}
	return seen
}

func TestAWatcherThatLagsIsCutAndToldAndAlone(t *testing.T) {
	p := NewPublisher(0, add, 2)
	_, slow, _ := p.Watch(t.Context())
	for n := range 4 {
		p.Publish(n)
	}
	if n := p.Watchers(); n != 0 {
		t.Errorf("%d watchers, the one that lags included", n)
	}
	_, fast, _ := p.Watch(t.Context())
	p.Publish(9)
	var seen []string
	for u, err := range slow {
		seen = append(seen, fmt.Sprint(u, errors.Is(err, ErrLagged), errors.Is(err, bus.Lost)))
	}
	want := []string{"0 false false", "1 false false", "0 true true"}
	if !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
	if got := take(fast, 1); !slices.Equal(got, []int{9}) {
		t.Errorf("the other saw %v", got)
	}
}

func TestAWatcherIsReleasedWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPublisher(0, add, 2)
		ctx, cancel := context.WithCancel(t.Context())
		_, read, _ := p.Watch(ctx)
		_, _, _ = p.Watch(ctx) // never looped over
		cancel()
		synctest.Wait()
		if n := p.Watchers(); n != 0 {
			t.Errorf("%d watchers", n)
		}
		for _, err := range read {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if _, _, err := p.Watch(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestJoiningWhileOthersPublishMissesNothing(t *testing.T) {
	p := NewPublisher(0, add, 10_000)
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for range 1000 {
				p.Publish(1)
			}
		})
	}
	var watchers sync.WaitGroup
	for range 4 {
		watchers.Go(func() {
			sum, updates, err := p.Watch(t.Context())
			if err != nil {
				t.Error(err)
			}
			for u := range upTo(updates, 4000-sum) {
				sum += u
			}
			if sum != 4000 {
				t.Errorf("the sum is %d", sum)
			}
		})
	}
	publishers.Wait()
	watchers.Wait()
}

// upTo is the first n of updates.
func upTo(updates iter.Seq2[int, error], n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if n == 0 {
			return
		}
		for u, err := range updates {
			if n--; !yield(u, err) || n == 0 {
				return
			}
		}
	}
}

func TestStrictMakesTheFirstElementErrorTheEnd(t *testing.T) {
	d := bus.Description{Name: "a.state", Version: 1, Kind: bus.State}
	cause := errors.New("no such symbol")
	for name, element := range map[string]error{
		"plain":  &bus.ElementError{RPC: d, Err: cause},
		"nested": &bus.ElementError{RPC: d, Err: &bus.ElementError{Err: cause}},
	} {
		f := Strict(func(context.Context, int) (int, iter.Seq2[int, error], error) {
			return 7, func(yield func(int, error) bool) {
				_ = yield(1, nil) && yield(0, &bus.Break{Err: cause}) && yield(0, element) && yield(2, nil)
			}, nil
		})
		s, updates, err := f(t.Context(), 0)
		if s != 7 || err != nil {
			t.Errorf("got %v, %v", s, err)
		}
		var ends []bool
		for _, err = range updates {
			ends = append(ends, bus.EndsStream(err))
		}
		if !slices.Equal(ends, []bool{false, false, true}) || !errors.Is(err, bus.Lost) {
			t.Errorf("%s: got %v and %v", name, ends, err)
		}
		if e, ok := errors.AsType[*bus.Error](err); !ok || e.RPC != d || name == "plain" && !errors.Is(err, cause) {
			t.Errorf("%s: got %#v", name, err)
		}
	}
}

func TestNilFuncsStayNilThroughConversions(t *testing.T) {
	var f Func[string, string, string]
	same := func(s string) string { return s }
	if f.MapErrors(nil) != nil || Convert(same, same, same)(f) != nil || Strict(f) != nil || Push[string, string, string](1, nil) != nil {
		t.Error("a nil Func became one that Serve would take")
	}
}

func TestFirstGoesOnAfterUnservedAlone(t *testing.T) {
	answers := []error{&bus.Error{Code: bus.Unserved}, &bus.Error{Code: bus.Gone}, nil}
	var tried []int
	f := Func[int, int, int](nil).First(func(_ context.Context, after int) (Func[int, int, int], int, error) {
		return func(context.Context, int) (int, iter.Seq2[int, error], error) {
			tried = append(tried, after+1)
			return 0, nil, answers[after+1]
		}, after + 1, nil
	})
	if _, _, err := f(t.Context(), 0); !errors.Is(err, bus.Gone) || len(tried) != 2 {
		t.Errorf("tried %v and got %v", tried, err)
	}
}

// Panics are those of a handler that publishes: the server goes on without it.
func TestAPublishThatPanicsChangesNothingOrAll(t *testing.T) {
	size := func(n int) int {
		if n == 2 {
			panic("no size")
		}
		return n
	}
	once := 0
	for what, p := range map[string]*Publisher[int, int]{
		"in the size": NewPublisher(0, add, 10).Keep(Backlog[int]{Updates: 10, Bytes: 100, Size: size}),
		"in apply": NewPublisher(0, func(sum, n int) int {
			if n == 2 {
				panic("no sum")
			}
			return sum + n
		}, 10),
		"behind the backlog": NewPublisher(0, func(sum, n int) int {
			if once++; once == 3 { // the first update is applied to the state before the backlog
				panic("no sum this time")
			}
			return sum + n
		}, 10).Keep(Backlog[int]{Updates: 1}),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		sum, updates, _ := p.Watch(ctx)
		for n := range 3 {
			func() {
				defer func() { _ = recover() }()
				p.Publish(n + 1)
			}()
		}
		want, _, _ := p.Watch(t.Context())
		cancel()
		var seen []int
		for n, err := range updates {
			if err == nil {
				seen = append(seen, n)
				sum += n
			}
		}
		if uint64(len(seen)) != p.position {
			t.Errorf("%s: saw %v up to position %d", what, seen, p.position)
		}
		if sum != want {
			t.Errorf("%s: a watcher who saw %v has %d, a new one %d", what, seen, sum, want)
		}
		base := p.history.base
		for _, n := range p.history.kept {
			base += n
		}
		if p.history.Updates > 0 && base != want {
			t.Errorf("%s: %d and the backlog %v make no %d", what, p.history.base, p.history.kept, want)
		}
	}
}

func TestASecondLoopOverUpdatesLeavesTheFirstAlone(t *testing.T) {
	p := NewPublisher(0, add, 10)
	_, updates, _ := p.Watch(t.Context())
	p.Publish(1)
	var seen []int
	for u, err := range updates {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, u); u == 2 {
			break
		}
		for _, err := range updates {
			if !errors.Is(err, bus.Invalid) {
				t.Errorf("got %v", err)
			}
		}
		if n := p.Watchers(); n != 1 {
			t.Fatalf("%d watchers: the loop that reads is none any more", n)
		}
		p.Publish(2)
	}
	if !slices.Equal(seen, []int{1, 2}) {
		t.Errorf("saw %v", seen)
	}
}
