// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/unaryrpc"
)

// A crowdedConn takes its time for the first message of a round that is full, so that
// others get ready and wait for it. It knows the longest.
type crowdedConn struct {
	*transport.SimConn
	longest atomic.Int64
	stalled atomic.Bool
}

func (c *crowdedConn) Publish(subject, reply string, data []byte) error {
	c.longest.Store(max(int64(len(data)), c.longest.Load())) // answers come one after another
	if len(data) > 10<<10 && !c.stalled.Swap(true) {
		for range 50_000 {
			runtime.Gosched()
		}
	}
	return c.SimConn.Publish(subject, reply, data)
}

// TestAnswersThatAreReadyTogetherFitTheirMessages has more of them than the broker
// takes in one, in rounds, as it is up to chance how many gather.
func TestAnswersThatAreReadyTogetherFitTheirMessages(t *testing.T) {
	const callers = 2000
	net := transport.NewNet(1)
	conn := &crowdedConn{SimConn: net.Dial()}
	rpc := unaryrpc.RPC[int, string]{Name: "long", Version: 1}
	answer := strings.Repeat("x", 1<<10)
	var ready sync.WaitGroup
	srv, err := bus.ServeOn(conn, bus.Service{Name: "test", Limit: callers}, rpc.Handler(func(context.Context, int) (string, error) {
		ready.Done()
		ready.Wait()
		return answer, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
	defer client.Close()
	for range 8 {
		conn.stalled.Store(false)
		ready.Add(callers)
		var calls sync.WaitGroup
		for range callers {
			calls.Go(func() {
				if got, err := rpc.Client(client)(t.Context(), 1); got != answer || err != nil {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		calls.Wait()
	}
	if n := conn.longest.Load(); n > 16<<10+128 { // a batch, and what is around the last answer in it
		t.Errorf("a message of %d bytes", n)
	}
}

// A heldConn publishes no answers until it may, and refusals at once.
type heldConn struct {
	*transport.SimConn
	goOn chan struct{}
}

func (c *heldConn) Publish(subject, reply string, data []byte) error {
	if kind, _, _, _ := wire.Next(data); kind == wire.KindAccept || kind == wire.KindFirst {
		<-c.goOn
	}
	return c.SimConn.Publish(subject, reply, data)
}

func (c *heldConn) PublishMsg(m transport.Msg) error {
	if e := errorIn(m.Data); e != nil && e.Code == string(bus.Failed) {
		<-c.goOn
	}
	return c.SimConn.PublishMsg(m)
}

// TestACallWhoseAnswerCannotLeaveKeepsItsPlace has a broker that takes the requests of
// a caller and no answers to it: what waits is bounded by the service's limit.
func TestACallWhoseAnswerCannotLeaveKeepsItsPlace(t *testing.T) {
	const limit, message = 50, 16
	for name, c := range map[string]struct {
		answer string
		err    error
		most   int // calls that are carried out
	}{
		"a value":  {strings.Repeat("x", 1<<10), nil, limit + 2*message}, // those that are being published, and those that have gathered
		"an error": {"", errors.New("not today"), 2 * limit},
	} {
		t.Run(name, func(t *testing.T) {
			if runs := unanswered(t, limit, c.answer, c.err); runs > c.most {
				t.Errorf("%d calls were carried out whose answers could not leave, want at most %d", runs, c.most)
			}
		})
	}
}

// unanswered returns how many of a thousand calls are carried out while no answer can
// leave, and the others are refused.
func unanswered(t *testing.T, limit int, answer string, fails error) (runs int) {
	const callers = 1000
	net := transport.NewNet(1)
	conn := &heldConn{net.Dial(), make(chan struct{})}
	rpc := unaryrpc.RPC[int, string]{Name: "long", Version: 1}
	run, busy := make(chan struct{}, callers), make(chan struct{}, callers)
	srv, err := bus.ServeOn(conn, bus.Service{Name: "test", Limit: limit}, rpc.Handler(func(context.Context, int) (string, error) {
		run <- struct{}{}
		return answer, fails
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
	defer client.Close()
	var calls sync.WaitGroup
	for range callers {
		calls.Go(func() {
			got, err := rpc.Client(client)(t.Context(), 1)
			switch {
			case errors.Is(err, bus.Busy):
				busy <- struct{}{}
			case got != answer || (err == nil) != (fails == nil):
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	for range callers {
		select {
		case <-run:
			runs++
		case <-busy:
		}
	}
	close(conn.goOn)
	calls.Wait()
	return runs
}
