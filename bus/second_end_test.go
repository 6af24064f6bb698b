// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
)

// Who drains or closes what is already at its end, as a signal handler and a defer do.

func TestAnotherDrainWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		letGo := make(chan struct{})
		srv := f.serve(bus.Service{}, holding(letGo))
		called, drained := make(chan error, 1), make(chan error, 2)
		go func() {
			_, err := heldRPC.Client(f.client(bus.ClientOptions{}))(t.Context(), 0)
			called <- err
		}()
		synctest.Wait()
		for range 2 {
			go func() { drained <- srv.Drain(t.Context()) }()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		select {
		case err := <-drained:
			t.Error("a drain has ended before the call:", err)
		default:
		}
		close(letGo)
		for range 2 {
			if err := <-drained; err != nil {
				t.Error(err)
			}
		}
		if err := <-called; err != nil {
			t.Error("the call was cut short:", err)
		}
	})
}

func TestAnotherDrainCutsTheFirstShortWhenItsOwnContextIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		srv := f.serve(bus.Service{}, holding(nil))
		called, drained := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := heldRPC.Client(f.client(bus.ClientOptions{}))(t.Context(), 0)
			called <- err
		}()
		synctest.Wait()
		go func() { drained <- srv.Drain(t.Context()) }()
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := srv.Drain(impatient); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("it ended after %v: %v", time.Since(start), err)
		}
		if err := <-called; !errors.Is(err, bus.Draining) {
			t.Errorf("the call: %v", err)
		}
		if err := <-drained; err != nil {
			t.Error("the first:", err)
		}
	})
}

// TestAnotherCloseOfAClientWaitsForTheFirst has a connection that takes its time for
// the cancellation of a stream.
func TestAnotherCloseOfAClientWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.serve(bus.Service{}, ticking())
		conn, letGo := &stuck{SimConn: f.net.Dial()}, make(chan struct{})
		client := bus.NewClientOn(conn, bus.ClientOptions{})
		if _, err := tickRPC.Client(client)(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		conn.until.Store(&letGo)
		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- client.Close() }()
			synctest.Wait()
		}
		if len(closed) > 0 {
			t.Error("one has returned before the client had ended")
		}
		close(letGo)
		for range 2 {
			if err := <-closed; err != nil {
				t.Error(err)
			}
		}
	})
}
