// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/flow"
)

// Real processes have three times the bounds that bus/liveness_test.go asserts
// exactly.
const leniency = 3

// How a process dies as its peers see it.
var childDeaths = []struct {
	name  string
	bound time.Duration
	die   func(*testing.T, *child, *broker.Proxy)
}{
	{"its connection ends with it", flow.UnheardBound, func(t *testing.T, c *child, _ *broker.Proxy) {
		c.signal(t, syscall.SIGKILL)
	}},
	{"its host vanishes with it", flow.SilenceBound, func(t *testing.T, c *child, p *broker.Proxy) {
		p.Partition(broker.Both)
		c.signal(t, syscall.SIGKILL)
	}},
}

// A shift counts handlers in and out.
type shift struct{ in, out chan struct{} }

func newShift() shift {
	return shift{make(chan struct{}, 1000), make(chan struct{}, 1000)}
}

func (w shift) tick(ctx context.Context, n int) (iter.Seq2[int, error], error) {
	updates, err := tick(ctx, n)
	w.in <- struct{}{}
	return func(yield func(int, error) bool) {
		defer func() { w.out <- struct{}{} }()
		updates(yield)
	}, err
}

func (w shift) sleep(ctx context.Context, n int) (int, error) {
	w.in <- struct{}{}
	defer func() { w.out <- struct{}{} }()
	return sleep(ctx, n)
}

// await receives n times, or fails the test.
func await(t *testing.T, c <-chan struct{}, n int, what string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for i := range n {
		select {
		case <-c:
		case <-deadline:
			t.Fatalf("%s: %d of %d", what, i, n)
		}
	}
}

func TestAKilledCallerHoldsNothingAtItsResponder(t *testing.T) {
	for _, death := range childDeaths {
		t.Run(death.name, func(t *testing.T) {
			brk, proxy := childBroker(t)
			w := newShift()
			serve(t, brk.URL(), ticksRPC.Handler(w.tick), sleepRPC.Handler(w.sleep))
			before := runtime.NumGoroutine()
			caller := startChild(t, "caller", proxy.URL())
			const all = childStreams + childCalls
			await(t, w.in, all, "handlers that run")
			start := time.Now()
			death.die(t, caller, proxy)
			await(t, w.out, all, "handlers that ended")
			took := time.Since(start)
			t.Logf("streams and handlers released after %v; the bound is %v", took, death.bound)
			if took > leniency*death.bound {
				t.Errorf("that is more than %d times the bound", leniency)
			}
			proxy.Close() // its goroutines, and the reader of the child's output, are not the responder's
			eventually(t, "goroutines that ended", func() bool { return runtime.NumGoroutine() <= before+2 })
			took = time.Since(start)
			t.Logf("goroutines back after %v", took)
			if took > leniency*death.bound {
				t.Errorf("that is more than %d times the bound", leniency)
			}
		})
	}
}

func TestTheStreamsOfAKilledResponderEndWithGone(t *testing.T) {
	for _, death := range childDeaths {
		t.Run(death.name, func(t *testing.T) {
			t.Parallel() // with others that wait
			brk, proxy := childBroker(t)
			responder := startChild(t, "responder", proxy.URL())
			cl := client(t, brk.URL())
			ends := make(chan error, childStreams+childCalls)
			open := make(chan struct{}, childStreams)
			for range childStreams {
				go func() { ends <- readTicks(t.Context(), cl, open) }()
			}
			for range childCalls {
				go func() {
					_, err := sleepRPC.Client(cl)(t.Context(), 0)
					ends <- err
				}()
			}
			await(t, open, childStreams, "open streams")
			accepted(t, cl)
			start := time.Now()
			death.die(t, responder, proxy)
			for range childStreams + childCalls {
				select {
				case err := <-ends:
					if !errors.Is(err, bus.Gone) {
						t.Errorf("ended with %v, want %v", err, bus.Gone)
					}
				case <-time.After(30 * time.Second):
					t.Fatal("not all have ended")
				}
			}
			took := time.Since(start)
			t.Logf("all ended after %v; the bound is %v", took, death.bound)
			if took > leniency*death.bound {
				t.Errorf("that is more than %d times the bound", leniency)
			}
		})
	}
}

// accepted returns when calls that were made before it have been accepted: one
// that is made now runs longer than accepting takes.
func accepted(t *testing.T, cl *bus.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := sleepRPC.Client(cl)(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// readTicks reads a stream to its end, and checks that nothing is missing. It
// says when the first update is there.
func readTicks(ctx context.Context, c bus.Caller, open chan<- struct{}) error {
	updates, err := ticksRPC.Client(c)(ctx, 0)
	if err != nil {
		return err
	}
	next := 0
	for n, err := range updates {
		if err != nil {
			return err
		}
		if n != next {
			return errors.New("an update is missing and nobody said so")
		}
		if next++; next == 1 {
			open <- struct{}{}
		}
	}
	return errors.New("the stream ended as if it were whole")
}

func TestAStoppedResponderThatGoesOnInTimeKeepsItsStreams(t *testing.T) {
	t.Parallel()
	brk, _ := childBroker(t)
	responder := startChild(t, "responder", brk.URL())
	cl := client(t, brk.URL())
	updates, err := ticksRPC.Client(cl)(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull2(updates)
	defer stop()
	next()
	responder.signal(t, syscall.SIGSTOP)
	resume := time.AfterFunc(2500*time.Millisecond, func() { _ = responder.cmd.Process.Signal(syscall.SIGCONT) })
	defer resume.Stop()
	for n := 1; n <= 20; n++ {
		if u, err, ok := next(); u != n || err != nil || !ok {
			t.Fatalf("got %d, %v, %v; want %d", u, err, ok, n)
		}
	}
}

func TestACallerStoppedForTooLongLearnsThatItsStreamsAreLost(t *testing.T) {
	t.Parallel()
	brk, _ := childBroker(t)
	w := newShift()
	serve(t, brk.URL(), ticksRPC.Handler(w.tick), sleepRPC.Handler(w.sleep))
	caller := startChild(t, "caller", brk.URL())
	await(t, w.in, childStreams+childCalls, "handlers that run")
	start := time.Now()
	caller.signal(t, syscall.SIGSTOP)
	await(t, w.out, childStreams+childCalls, "handlers that ended")
	t.Logf("released after %v; the bound is %v", time.Since(start), flow.SilenceBound)
	if took := time.Since(start); took > leniency*flow.SilenceBound {
		t.Errorf("released after %v", took)
	}
	start = time.Now()
	caller.signal(t, syscall.SIGCONT)
	for range childStreams {
		if line := caller.line(t); line != "ended: "+string(bus.Lost) {
			t.Errorf("the caller says %q", line)
		}
	}
	t.Logf("all streams of the caller ended %v after it went on", time.Since(start))
}
