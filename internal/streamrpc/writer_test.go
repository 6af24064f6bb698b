// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCloseComesAfterWhatWasSent(t *testing.T) {
	for name, tc := range map[string]struct {
		end  error
		want []string
	}{
		"clean": {nil, []string{"1", "2"}},
		"error": {errOdd, []string{"1", "2", "odd"}},
	} {
		w := NewWriter[int](t.Context(), 2)
		if !w.Send(1) || !w.Offer(2) {
			t.Errorf("%s: refused an update", name)
		}
		w.Close(tc.end)
		w.Close(errors.New("a second time"))
		if w.Send(3) || w.Offer(3) {
			t.Errorf("%s: took an update after Close", name)
		}
		wants(t, list(w.Updates()), tc.want...)
	}
}

func TestOfferNeverWaitsAndSendWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWriter[int](t.Context(), 2)
		if !w.Offer(1) || !w.Offer(2) || w.Offer(3) {
			t.Error("the backlog is not two")
		}
		var sender sync.WaitGroup
		var sent bool
		sender.Go(func() {
			sent = w.Send(3)
			w.Close(nil)
		})
		synctest.Wait()
		if sent {
			t.Error("sent beyond the backlog")
		}
		wants(t, list(w.Updates()), "1", "2", "3")
		sender.Wait()
		if !sent {
			t.Error("not sent")
		}
	})
}

func TestABacklogOfNothingIsOne(t *testing.T) {
	for _, backlog := range []int{-1, 0, 1} {
		w := NewWriter[int](t.Context(), backlog)
		if !w.Offer(1) || w.Offer(2) {
			t.Errorf("the backlog of %d is not one", backlog)
		}
	}
}

func TestASendThatWaitsEnds(t *testing.T) {
	for name, end := range map[string]func(w *Writer[int], cancel func()){
		"with the context": func(_ *Writer[int], cancel func()) { cancel() },
		"with Close":       func(w *Writer[int], _ func()) { w.Close(nil) },
		"with its reader":  func(w *Writer[int], _ func()) { first(w.Updates(), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := NewWriter[int](ctx, 1)
				var sender sync.WaitGroup
				n := 0
				sender.Go(func() {
					for w.Send(n) {
						n++
					}
				})
				synctest.Wait()
				end(w, cancel)
				sender.Wait() // else the bubble is deadlocked
				if n > 3 {
					t.Errorf("%d updates were taken", n)
				}
			})
		})
	}
}

func TestAReaderThatWaitsEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := NewWriter[int](ctx, 1)
		w.Send(1)
		wants(t, list(w.Updates()), "1", context.DeadlineExceeded.Error())
		if w.Send(2) || w.Offer(2) {
			t.Error("took an update for nobody")
		}
	})
}

func TestASendBeforeTheVerdictDoesNotOutliveItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f := Push(1, func(_ context.Context, _ int, w *Writer[int]) (int, error) {
			if !w.Send(1) || w.Send(2) {
				t.Error("the backlog before the verdict is not one")
			}
			return 7, nil
		})
		s, updates, err := f(ctx, 0)
		if s != 7 || err != nil {
			t.Errorf("got %v, %v", s, err)
		}
		wants(t, list(updates), "1", context.DeadlineExceeded.Error())
	})
}

func TestAFailedPushClosesItsWriter(t *testing.T) {
	var writer *Writer[int]
	push := func(end func() error) Func[int, int, int] {
		return Push(1, func(_ context.Context, _ int, w *Writer[int]) (int, error) {
			writer = w
			return 0, end()
		})
	}
	_, updates, err := push(func() error { return errOdd })(t.Context(), 0)
	if updates != nil || err != errOdd || writer.Offer(1) {
		t.Errorf("after an error: %v, and the Writer is open", err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _, _ = push(func() error { panic("in the handler") })(t.Context(), 0)
	}()
	if writer.Offer(1) {
		t.Error("after a panic the Writer is open")
	}
}

func TestEveryUpdateOfManySendersArrives(t *testing.T) {
	w := NewWriter[int](t.Context(), 8)
	var senders sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for i := range 1000 {
				w.Send(i*4 + s)
			}
		})
	}
	go func() {
		senders.Wait()
		w.Close(nil)
	}()
	var last [4]int
	n := 0
	for u, err := range w.Updates() {
		if err != nil {
			t.Fatal(err)
		}
		if u < last[u%4] {
			t.Errorf("%d after %d", u, last[u%4])
		}
		last[u%4] = u
		n++
	}
	if n != 4000 {
		t.Errorf("%d of 4000 arrived", n)
	}
}
