// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
)

// countless has more updates than anybody reads.
var countless = piperpc.RPC[int, int]{Name: "leaks.countless", Version: 1}

func countlessHandler() bus.Handler {
	return countless.Handler(func(ctx context.Context, from int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for n := from; yield(n, nil); n++ {
				if from == 0 { // to be broken off in the middle
					continue
				}
				<-ctx.Done() // one update, then silence
				return
			}
		}, nil
	})
}

// A forsaking opens a stream and abandons it in one way.
type forsaking struct {
	name    string
	abandon func(ctx context.Context, open piperpc.Func[int, int]) error
}

var forsakings = []forsaking{
	{"break", func(ctx context.Context, open piperpc.Func[int, int]) error {
		return readOne(ctx, open, 0, func() bool { return false })
	}},
	{"break of a silent stream", func(ctx context.Context, open piperpc.Func[int, int]) error {
		return readOne(ctx, open, 1, func() bool { return false })
	}},
	{"cancel", func(ctx context.Context, open piperpc.Func[int, int]) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return readOne(ctx, open, 1, func() bool { cancel(); return true })
	}},
	{"cancel without a loop", func(ctx context.Context, open piperpc.Func[int, int]) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		_, err := open(ctx, 0)
		return forgive(err)
	}},
	{"deadline", func(ctx context.Context, open piperpc.Func[int, int]) error {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		return readOne(ctx, open, 1, func() bool { return true })
	}},
	{"deadline without a loop", func(ctx context.Context, open piperpc.Func[int, int]) error {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		context.AfterFunc(ctx, cancel)
		_, err := open(ctx, 0)
		return forgive(err)
	}},
	{"cancel before the verdict", func(ctx context.Context, open piperpc.Func[int, int]) error {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Microsecond)
		defer cancel()
		return readOne(ctx, open, 0, func() bool { return true })
	}},
}

// readOne takes one update and asks whether to go on.
func readOne(ctx context.Context, open piperpc.Func[int, int], query int, more func() bool) error {
	updates, err := open(ctx, query)
	if err == nil {
		for _, uerr := range updates {
			if err = uerr; err != nil || !more() {
				break
			}
		}
	}
	return forgive(err)
}

// forgive passes on errors other than having been cancelled or being late.
func forgive(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// A hold is a responder and a client, with one stream between them that stays
// open, so that what watches over them is there from first to last.
type hold struct {
	broker *broker.Server
	client *bus.Client
}

func newHold(t *testing.T) *hold {
	b := broker.Run(t, broker.Options{})
	serve(t, b.URL(), countlessHandler())
	w := &hold{broker: b, client: client(t, b.URL())}
	updates, err := countless.Client(w.client)(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull2(updates)
	t.Cleanup(stop)
	if _, err, _ := next(); err != nil {
		t.Fatal(err)
	}
	return w
}

// forsake opens n streams, twenty at a time, and abandons them in all ways.
func (w *hold) forsake(t *testing.T, n int) {
	t.Helper()
	var wg sync.WaitGroup
	places := make(chan struct{}, 20)
	for i := range n {
		f := forsakings[i%len(forsakings)]
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := f.abandon(t.Context(), countless.Client(w.client)); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		})
	}
	wg.Wait()
}

// loseResponder reads n streams of a responder until it dies.
func (w *hold) loseResponder(t *testing.T, n int) {
	t.Helper()
	nc := connect(t, w.broker.URL())
	srv, err := bus.Serve(nc, bus.Service{Name: "mortal", Prefix: "mortal"}, countlessHandler())
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, countless.Client(w.client.WithPrefix("mortal")), n, bus.Gone, nc.Close)
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

// loseCaller reads n streams with a client that dies.
func (w *hold) loseCaller(t *testing.T, n int) {
	t.Helper()
	nc := connect(t, w.broker.URL())
	c := bus.NewClient(nc, bus.ClientOptions{})
	readAll(t, countless.Client(c), n, bus.Disconnected, nc.Close)
	if err := c.Close(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		t.Error(err)
	}
}

// readAll opens n streams, kills once all of them are open, and wants each to
// end with code.
func readAll(t *testing.T, open piperpc.Func[int, int], n int, code bus.Code, kill func()) {
	t.Helper()
	var wg sync.WaitGroup
	opened := make(chan struct{}, n)
	for range n {
		wg.Go(func() {
			err := readOne(t.Context(), open, 1, func() bool { opened <- struct{}{}; return true })
			if !errors.Is(err, code) {
				t.Errorf("a stream whose peer died: %v, want %q", err, code)
			}
		})
	}
	for range n {
		<-opened
	}
	kill()
	wg.Wait()
}

// A footing is what must come back exactly.
type footing struct{ goroutines, subscriptions int }

func (w *hold) footing() footing {
	return footing{runtime.NumGoroutine(), w.broker.Subscriptions()}
}

func TestStreamsThatAreAbandonedLeaveNothingBehind(t *testing.T) {
	w := newHold(t)
	// A client keeps one subscription for each name that it heard the end of an
	// instance of: to hear of the next.
	stop, err := w.client.WithPrefix("mortal").Hear(countless.Name, func(bus.Announcement) {})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := w.client.Instances(t.Context()); err != nil { // the broker has it now
		t.Fatal(err)
	}
	before := w.footing()
	w.forsake(t, 80)
	w.loseResponder(t, 10)
	w.loseCaller(t, 10)
	w.comesBack(t, before)
	first := heap()

	w.forsake(t, 700)
	w.loseResponder(t, 150)
	w.loseCaller(t, 150)
	w.comesBack(t, before)
	last := heap()
	t.Logf("%+v; heap %d KiB after 100 streams, %d KiB after 1,000 more", before, first>>10, last>>10)
	if most := first + first/20 + 1<<20; last > most {
		t.Errorf("heap of %d KiB, want at most %d", last>>10, most>>10)
	}
}

// comesBack waits for the footing to be as it was. Goroutines that carry out
// calls wait a while for the next one before they end.
func (w *hold) comesBack(t *testing.T, before footing) {
	t.Helper()
	var now footing
	defer func() {
		if now.subscriptions != before.subscriptions || now.goroutines > before.goroutines {
			stacks := make([]byte, 1<<20)
			t.Logf("%+v, before %+v\n%s", now, before, stacks[:runtime.Stack(stacks, true)])
		}
	}()
	eventually(t, "the goroutines and subscriptions as before", func() bool {
		now = w.footing() // of goroutines less will do: a test before this one may have left some
		return now.subscriptions == before.subscriptions && now.goroutines <= before.goroutines
	})
}

// heap is what is in use once garbage is gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
