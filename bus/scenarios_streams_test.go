// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
)

// The scenarios of the catalogue about the ends and the pace of streams.
func TestScenariosOfStreams(t *testing.T) {
	for _, s := range []struct {
		name string
		run  func(*testing.T, fleet)
	}{
		{"S071 S129 a drain ends pulled and pushed streams behind what was sent", drainEndsStreams},
		{"S083 behind a reader that left nothing is taken", readerLeaves},
		{"S089 S148 a reader that stalls for 30 s loses neither its stream nor its connection", readerStalls},
		{"S125 a hundred updates of 1 MB and a reader that never reads leave nothing waiting", neverReads},
		{"S128 a push that never returns ends with its context", neverReturns},
		{"S149 S151 while its reader stalls a handler is held to the window", heldToWindow},
		{"S196 S197 each way to end has its own code", waysToEnd},
		{"S200 an end that is not known here keeps its name", unknownEnd},
		{"S201 a drain of 5 s waits for handlers to stop, and says if that was too long", drainWaitsForHandlers},
	} {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { s.run(t, newFleet(t)) })
		})
	}
}

var lineRPC = piperpc.RPC[int, string]{Name: "line", Version: 1}

// readLine reads a stream to its end.
func readLine(updates iter.Seq2[string, error], err error) string {
	var line []string
	for u, uerr := range updates {
		if line = append(line, u[:min(len(u), 10)]); uerr != nil {
			err = uerr
			line = line[:len(line)-1]
		}
	}
	if e, ok := errors.AsType[*bus.Error](err); ok {
		return strings.Join(append(line, string(e.Code)), " ")
	}
	return strings.Join(line, " ")
}

func saw(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// oneThenTwo yields "one" and then, when its call ends, "two", and
// tells whether that was taken.
func oneThenTwo(taken chan<- bool) piperpc.Func[int, string] {
	return func(ctx context.Context, _ int) (iter.Seq2[string, error], error) {
		return func(yield func(string, error) bool) {
			yield("one", nil)
			<-ctx.Done()
			taken <- yield("two", nil)
		}, nil
	}
}

func drainEndsStreams(t *testing.T, f fleet) {
	taken := make(chan bool, 1)
	pushed := piperpc.RPC[int, string]{Name: "pushed", Version: 1}
	srv := f.serve(bus.Service{}, lineRPC.Handler(oneThenTwo(taken)),
		pushed.Handler(piperpc.Push(3, func(_ context.Context, _ int, w *piperpc.Writer[string]) error {
			w.Send("one")
			w.Send("two")
			return nil
		})))
	c := f.client(bus.ClientOptions{})
	ends := make(chan string, 2)
	for _, rpc := range []piperpc.RPC[int, string]{lineRPC, pushed} {
		go func() { ends <- rpc.Name + ": " + readLine(rpc.Client(c)(t.Context(), 0)) }()
	}
	time.Sleep(time.Second)
	if err := srv.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	got := map[string]bool{<-ends: true, <-ends: true}
	saw(t, "heard", got, map[string]bool{"line: one draining": true, "pushed: one two draining": true})
	saw(t, "an update behind the drain is taken", <-taken, false)
}

func readerLeaves(t *testing.T, f fleet) {
	taken := make(chan bool, 1)
	f.serve(bus.Service{}, lineRPC.Handler(oneThenTwo(taken)))
	updates, err := lineRPC.Client(f.client(bus.ClientOptions{}))(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range updates {
		break
	}
	saw(t, "a later update is taken", <-taken, false)
}

// yielded has updates of 1000 bytes without end, and counts those taken.
func yielded(n *atomic.Int64) bus.Handler {
	update := strings.Repeat("x", 1000)
	return lineRPC.Handler(func(context.Context, int) (iter.Seq2[string, error], error) {
		return func(yield func(string, error) bool) {
			for yield(update, nil) {
				n.Add(1)
			}
		}, nil
	})
}

func readerStalls(t *testing.T, f fleet) {
	f.serve(bus.Service{}, naming("x"), lineRPC.Handler(func(context.Context, int) (iter.Seq2[string, error], error) {
		return func(yield func(string, error) bool) {
			for n := range 100_000 {
				if !yield(fmt.Sprintf("%0100d", n), nil) {
					return
				}
			}
		}, nil
	}))
	c := f.client(bus.ClientOptions{})
	updates, err := lineRPC.Client(c)(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for u, err := range updates {
		if err != nil || u != fmt.Sprintf("%0100d", read) {
			t.Fatalf("update %d: %v", read, err)
		}
		if read++; read == 10 {
			time.Sleep(30 * time.Second)
			if got, err := nameRPC.Client(c)(t.Context(), ""); got != "x" || err != nil {
				t.Errorf("a call beside it: %q, %v", got, err)
			}
		}
	}
	saw(t, "read", read, 100_000)
}

func heldToWindow(t *testing.T, f fleet) {
	var n atomic.Int64
	f.serve(bus.Service{}, yielded(&n))
	updates, err := lineRPC.Client(f.client(bus.ClientOptions{}))(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range updates {
		time.Sleep(time.Second)
		first := n.Load()
		time.Sleep(20 * time.Second)
		if first > 262 || n.Load() != first { // of 1000 bytes each, in the first window of 256 KiB
			t.Errorf("%d updates were taken, then %d", first, n.Load())
		}
		break
	}
}

func neverReads(t *testing.T, f fleet) {
	sent := make(chan int, 1)
	mega := strings.Repeat("x", 1<<20)
	f.serve(bus.Service{}, lineRPC.Handler(piperpc.Push(4, func(_ context.Context, _ int, w *piperpc.Writer[string]) error {
		go func() {
			n := 0
			for range 100 {
				if !w.Send(mega) {
					break
				}
				n++
			}
			sent <- n
		}()
		return nil
	})))
	c := bus.NewClientOn(f.net.Dial(), bus.ClientOptions{})
	updates, err := lineRPC.Client(c)(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	if len(sent) > 0 {
		t.Errorf("%d updates were taken that nobody reads", <-sent)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	synctest.Wait()
	if n := <-sent; n == 0 || n > 20 {
		t.Errorf("%d updates were taken", n)
	}
	if line := readLine(updates, nil); !strings.HasSuffix(line, string(bus.Canceled)) {
		t.Errorf("the stream ended with %q", line)
	}
}

func neverReturns(t *testing.T, f fleet) {
	taken := make(chan bool, 1)
	f.serve(bus.Service{}, lineRPC.Handler(piperpc.Push(1, func(_ context.Context, _ int, w *piperpc.Writer[string]) error {
		taken <- w.Send("one") && w.Send("two") // of which the second waits for a reader
		return nil
	})))
	ctx, cancel := context.WithCancel(t.Context()) // a deadline would pass at both ends at once
	defer time.AfterFunc(time.Minute, cancel).Stop()
	_, err := lineRPC.Client(f.client(bus.ClientOptions{}))(ctx, 0)
	if !errors.Is(err, bus.Canceled) {
		t.Errorf("the call: %v", err)
	}
	saw(t, "both were taken", <-taken, false)
}

func waysToEnd(t *testing.T, f fleet) {
	for _, way := range []struct {
		name string
		end  func(c *bus.Client, srv *bus.Server, near, far *transport.SimConn)
		want [2]bus.Code // of a call and of a stream
	}{
		{"the caller's client closes", func(c *bus.Client, _ *bus.Server, _, _ *transport.SimConn) { _ = c.Close() }, [2]bus.Code{bus.Canceled, bus.Canceled}},
		{"the server closes", func(_ *bus.Client, srv *bus.Server, _, _ *transport.SimConn) { _ = srv.Close() }, [2]bus.Code{bus.Draining, bus.Draining}},
		{"the responder's process dies", func(_ *bus.Client, _ *bus.Server, _, far *transport.SimConn) { far.Disconnect() }, [2]bus.Code{bus.Gone, bus.Gone}},
		{"the responder falls silent", func(_ *bus.Client, _ *bus.Server, _, far *transport.SimConn) { far.Freeze(true) }, [2]bus.Code{bus.Gone, bus.Gone}},
		{"the caller's line is down", func(_ *bus.Client, _ *bus.Server, near, _ *transport.SimConn) { near.Disconnect() }, [2]bus.Code{bus.Disconnected, bus.Lost}},
	} {
		near, far := f.net.Dial(), f.net.Dial()
		srv, err := bus.ServeOn(far, bus.Service{}, holding(nil), ticking())
		if err != nil {
			t.Fatal(err)
		}
		c := bus.NewClientOn(near, bus.ClientOptions{})
		called, streamed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := heldRPC.Client(c)(t.Context(), 0)
			called <- err
		}()
		go func() { streamed <- readTicks(t.Context(), c, 0) }()
		time.Sleep(time.Second)
		way.end(c, srv, near, far)
		time.Sleep(30 * time.Second)
		wantEnd(t, way.name+": the call", called, way.want[0])
		wantEnd(t, way.name+": the stream", streamed, way.want[1])
		_, _ = c.Close(), srv.Close()
	}
}

func unknownEnd(t *testing.T, f fleet) {
	f.serve(bus.Service{}, nameRPC.Handler(func(context.Context, string) (string, error) {
		return "", &bus.Error{Code: "evicted", Message: "by a newer release", MayHaveRun: true}
	}))
	_, err := nameRPC.Client(f.client(bus.ClientOptions{}))(t.Context(), "")
	if !errors.Is(err, bus.Failed) || !strings.Contains(err.Error(), "evicted: by a newer release") {
		t.Errorf("got %v", err)
	}
}

func drainWaitsForHandlers(t *testing.T, f fleet) {
	for _, stop := range []struct {
		takes time.Duration
		want  error
	}{{3 * time.Second, nil}, {10 * time.Second, context.DeadlineExceeded}} {
		srv := f.serve(bus.Service{}, lineRPC.Handler(func(ctx context.Context, _ int) (iter.Seq2[string, error], error) {
			return func(yield func(string, error) bool) {
				yield("one", nil)
				<-ctx.Done()
				time.Sleep(stop.takes)
			}, nil
		}))
		ended := make(chan string, 1)
		go func() { ended <- readLine(lineRPC.Client(f.client(bus.ClientOptions{}))(t.Context(), 0)) }()
		time.Sleep(time.Second)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := srv.Drain(ctx); !errors.Is(err, stop.want) {
			t.Errorf("drain: %v, want %v", err, stop.want)
		}
		cancel()
		if d := time.Since(start) - stop.takes; d < 0 || d > time.Second {
			t.Errorf("the drain and a handler that takes %v differ by %v", stop.takes, d)
		}
		saw(t, "heard", <-ended, "one draining")
	}
}
