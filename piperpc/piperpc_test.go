// SPDX-License-Identifier: Apache-2.0

package piperpc

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/durabus/durabus/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNilFuncsStayNilThroughConversions(t *testing.T) {
	var f Func[string, string]
	same := func(s string) string { return s }
	if f.MapErrors(nil) != nil || Convert(same, same)(f) != nil || Push[string, string](1, nil) != nil {
		t.Error("a nil Func became one that Serve would take")
	}
}

// until yields 1, 2, … until ctx is done.
func until(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := 1; ctx.Err() == nil; n++ {
			if !yield(n, nil) {
				return
			}
		}
		yield(0, ctx.Err())
	}
}

func TestChanCarriesUpdatesAndTheirError(t *testing.T) {
	end := errors.New("end")
	c := Chan(t.Context(), func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, end) })
	if i := <-c; i != (Item[int]{1, nil}) {
		t.Errorf("got %v", i)
	}
	if i := <-c; i != (Item[int]{0, end}) {
		t.Errorf("got %v", i)
	}
	if i, ok := <-c; ok {
		t.Errorf("got %v after the end", i)
	}
	if i, ok := <-Chan[int](t.Context(), nil); ok {
		t.Errorf("got %v from nil updates", i)
	}
}

func TestChanIsLeftByEndingItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := Chan(ctx, until(ctx))
		<-c
		synctest.Wait() // the next item waits for a receiver
		cancel()
		synctest.Wait() // else the bubble ends with a goroutine in it
		if i, ok := <-c; ok {
			t.Errorf("got %v, want a closed channel", i)
		}
	})
}

func TestConvertTurnsTheErrorAtTheEndToo(t *testing.T) {
	old, young := errors.New("of version 1"), errors.New("of version 2")
	same := func(n int) int { return n }
	f := Convert(same, same, func(err error) (error, bool) { return young, err == old })(
		func(_ context.Context, n int) (iter.Seq2[int, error], error) {
			if n == 0 {
				return nil, old
			}
			return func(yield func(int, error) bool) { _ = yield(n, nil) && yield(0, old) }, nil
		})
	if _, err := f(t.Context(), 0); err != young {
		t.Errorf("at opening: got %v", err)
	}
	updates, err := f(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range updates {
	}
	if err != young {
		t.Errorf("at the end: got %v", err)
	}
}

func TestFirstGoesOnAfterUnservedAlone(t *testing.T) {
	answers := []error{&bus.Error{Code: bus.Unserved}, &bus.Error{Code: bus.Gone}, nil}
	var tried []int
	f := Func[int, int](nil).First(func(_ context.Context, after int) (Func[int, int], int, error) {
		return func(context.Context, int) (iter.Seq2[int, error], error) {
			tried = append(tried, after+1)
			return nil, answers[after+1]
		}, after + 1, nil
	})
	if _, err := f(t.Context(), 0); !errors.Is(err, bus.Gone) || len(tried) != 2 {
		t.Errorf("tried %v and got %v", tried, err)
	}
}
