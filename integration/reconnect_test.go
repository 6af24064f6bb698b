// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/flow"
)

// restart starts a broker again, killed first if it runs.
func restart(t *testing.T, b testBroker) {
	t.Helper()
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
}

func TestABrokerThatRestartsLosesNothingSilently(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	o := newOutage(t, brk, brk)
	calls := o.underWay()
	start := time.Now()
	brk.Kill()
	o.disconnected(calls, start)
	o.refused()
	restart(t, brk)
	o.over()
}

func TestUpdatesThatARestartSwallowsAreReportedAsLost(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	o := newOutage(t, brk, brk)
	calls := o.underWay()
	o.near.Partition(broker.ToClient)
	o.makesMore()
	start := time.Now()
	o.near.Heal() // which resets the connection
	o.disconnected(calls, start)
	o.over()
	if n := o.fates[string(bus.Lost)]; n != outagePipes+outageStates {
		t.Errorf("%d streams were lost, all had updates swallowed", n)
	}
}

func TestANodeThatRestartsUnderTheCallerLosesNothingSilently(t *testing.T) {
	c := runCluster(t, broker.Options{})
	o := newOutage(t, c[0], c[1])
	calls := o.underWay()
	start := time.Now()
	c[0].Kill()
	o.disconnected(calls, start)
	o.refused()
	restart(t, c[0])
	o.over()
}

func TestANodeThatRestartsUnderTheResponderLosesNothingSilently(t *testing.T) {
	c := runCluster(t, broker.Options{})
	o := newOutage(t, c[0], c[1])
	calls := o.underWay()
	restart(t, c[1])
	o.over()
	o.distinct(calls)
}

func TestALinkThatIsCutLosesNothingSilently(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	for _, cut := range []struct {
		name      string
		near, far bool
	}{{"the caller's", true, false}, {"the responder's", false, true}, {"both", true, true}} {
		t.Run(cut.name, func(t *testing.T) {
			o := newOutage(t, brk, brk)
			calls := o.underWay()
			start := time.Now()
			if cut.far {
				o.far.Cut()
			}
			if cut.near {
				o.near.Cut()
				o.disconnected(calls, start)
			}
			o.over()
			if !cut.near {
				o.distinct(calls)
			}
		})
	}
}

func TestAFrozenLinkEndsEverythingWithinTheBound(t *testing.T) {
	for _, side := range []string{"caller", "responder"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			brk := runBroker(t, broker.Options{})
			o := newOutage(t, brk, brk)
			proxy := o.near
			if side == "responder" {
				proxy = o.far
			}
			open := make(chan struct{}, 2)
			ends := make(chan error, 2)
			o.streams.Go(func() {
				updates, err := beatsRPC.Client(o.client)(t.Context(), 0)
				open <- struct{}{}
				for _, err = range updates {
				}
				ends <- err
			})
			o.streams.Go(func() {
				_, err := jobRPC.Client(o.client)(t.Context(), 0)
				ends <- err
			})
			await(t, open, 1, "open streams")
			<-o.began
			start := time.Now()
			proxy.Freeze(broker.Both)
			_, err := jobRPC.Client(o.client)(t.Context(), 1)
			took := time.Since(start)
			if !errors.Is(err, bus.NoAnswer) || took > leniency*2*time.Second {
				t.Errorf("a call into a frozen link: %v after %v", err, took)
			}
			for range 2 {
				if err := <-ends; !errors.Is(err, bus.Gone) && !errors.Is(err, bus.NoAnswer) {
					t.Errorf("ended with %v", err)
				}
			}
			took = time.Since(start)
			t.Logf("all ended after %v; the bound is %v", took, flow.SilenceBound)
			if took > leniency*flow.SilenceBound {
				t.Errorf("all ended after %v", took)
			}
			proxy.Thaw()
			close(o.done)
			o.streams.Wait()
			o.reach()
		})
	}
}

func TestADurableStreamTellsOfARestartAndGoesOn(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	o := newOutage(t, brk, brk)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var told []string
	n := 0
	for ev := range durable.State(ctx, clockRPC.Client(o.client), 7, durable.Policy{}) {
		if ev.Kind != durable.Update {
			told = append(told, ev.Kind.String())
		}
		switch ev.Kind {
		case durable.Snapshot:
			n = ev.State
		case durable.Lost:
			if !errors.Is(ev.Err, bus.Disconnected) {
				t.Errorf("lost with %v", ev.Err)
			}
			restart(t, brk)
			o.after.Store(true)
		case durable.Update:
			if ev.Err != nil || ev.Update.N != n+1 {
				t.Fatalf("update %v, %v after %d", ev.Update, ev.Err, n)
			}
			if n++; n == 10 {
				brk.Kill()
			}
		}
		if ev.Update.After {
			break
		}
	}
	// The caller may be back before the responder, and then tries more than once.
	s := strings.ReplaceAll(fmt.Sprint(told), "FailedToConnect Attempting ", "")
	if s != "[Attempting Connected Snapshot Lost Attempting Connected Snapshot]" {
		t.Errorf("told %v", told)
	}
	t.Log(told)
}

func TestACallerThatIsThereBeforeItsBrokerLearnsWhenItComes(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	brk.Kill()
	cl := client(t, brk.URL())
	_, err := jobRPC.Client(cl)(t.Context(), -1)
	e, ok := errors.AsType[*bus.Error](err)
	if !ok || e.Code != bus.Disconnected || e.Again == nil {
		t.Fatalf("without a broker: %v", err)
	}
	restart(t, brk)
	select {
	case <-e.Again:
	case <-time.After(10 * time.Second):
		t.Error("nobody said that the broker is there")
	}
}

func TestAConnectionWhoseOwnerHasOtherHandlersIsUsedAgain(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	serve(t, brk.URL(), jobRPC.Handler(func(context.Context, int) (int, error) { return 7, nil }))
	nc := connect(t, brk.URL())
	client := bus.NewClient(nc, bus.ClientOptions{})
	defer client.Close()
	if _, err := jobRPC.Client(client)(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	again := make(chan struct{}, 1)
	nc.SetReconnectHandler(func(*nats.Conn) { again <- struct{}{} })
	restart(t, brk)
	await(t, again, 1, "reconnected")
	for {
		n, err := jobRPC.Client(client)(t.Context(), 1)
		if e, ok := errors.AsType[*bus.Error](err); ok && (e.Code == bus.NoResponder || e.Code == bus.Gone) && e.Again != nil {
			<-e.Again // the responder is not back
			continue
		}
		if n != 7 || err != nil {
			t.Errorf("once its connection was back it was answered %d: %v", n, err)
		}
		return
	}
}
