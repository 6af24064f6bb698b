// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestSubjectsMatchAsInNATS(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "ab", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.b", "a.b", true},
		{"a.b", "A.b", false},
		{"*", "a", true},
		{"*", "a.b", false},
		{"a.*", "a", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"*.b", "a.b", true},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{"a.b*", "a.bc", false}, // a wildcard is a whole token
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c.d", true},
		{"a.>", "b.a", false},
		{"*.>", "a.b", true},
		{"*.>", "a", false},
		{"a.*.>", "a.b.c.d", true},
		{"a.*.>", "a.b", false},
	} {
		if got := matches(c.pattern, c.subject); got != c.want {
			t.Errorf("matches(%q, %q) = %t", c.pattern, c.subject, got)
		}
	}
}

// subscribed subscribes c and returns what has arrived, each message as its
// data, once the bus is quiet.
func subscribed(t *testing.T, c *SimConn, subject, queue string) (got func() []string) {
	t.Helper()
	var arrived []string // no lock: read when the subscription's goroutine waits
	sub, err := c.Subscribe(subject, queue, func(m Msg) {
		s := string(m.Data)
		if m.NoResponders {
			s = "503 " + m.Subject
		}
		arrived = append(arrived, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return func() []string {
		synctest.Wait()
		return arrived
	}
}

func send(t *testing.T, c *SimConn, subject, reply, data string) {
	t.Helper()
	if err := c.Publish(subject, reply, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s got %q, want %q", what, got, want)
	}
}

func TestMessagesOfOneConnectionArriveInOrderAtEverySubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewNet(1)
		from, to := net.Dial(), net.Dial()
		one, all := subscribed(t, to, "a.b", ""), subscribed(t, from, "a.>", "")
		var want []string
		for i := range 1000 {
			want = append(want, strconv.Itoa(i))
			send(t, from, "a.b", "", want[i])
		}
		is(t, "a.b", one(), want...)
		is(t, "a.>", all(), want...)
	})
}

func TestWhatWasPublishedIsNotWhatThePublisherChangesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewNet(1).Dial()
		got := subscribed(t, c, "a", "")
		data := []byte("first")
		if err := c.Publish("a", "", data); err != nil {
			t.Fatal(err)
		}
		copy(data, "XXXXX")
		is(t, "a", got(), "first")
	})
}

func TestAQueueGroupSharesMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewNet(1)
		from := net.Dial()
		var members []func() []string
		for range 3 {
			members = append(members, subscribed(t, net.Dial(), "a", "q"))
		}
		other, plain := subscribed(t, net.Dial(), "a", "other"), subscribed(t, net.Dial(), "a", "")
		for i := range 300 {
			send(t, from, "a", "", strconv.Itoa(i))
		}
		sum := 0
		for i, m := range members {
			n := len(m())
			if sum += n; n < 50 {
				t.Errorf("member %d got %d of 300 messages", i+1, n)
			}
		}
		if sum != 300 || len(other()) != 300 || len(plain()) != 300 {
			t.Errorf("the group got %d messages, another group %d, a plain subscription %d, each should get 300", sum, len(other()), len(plain()))
		}
	})
}

func TestAMessageToNobodyComesBackAs503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewNet(1)
		c, other := net.Dial(), net.Dial()
		inbox, elsewhere := subscribed(t, c, "in.*", ""), subscribed(t, other, "in.*", "")
		send(t, c, "nobody", "in.1", "x")
		send(t, c, "nobody", "", "x")
		send(t, c, "in.3", "in.2", "to somebody")
		is(t, "the publisher", inbox(), "503 in.1", "to somebody")
		is(t, "another", elsewhere(), "to somebody")
	})
}

func TestADisconnectedConnectionLosesMessagesAndTellsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewNet(1)
		c, other := net.Dial(), net.Dial()
		got, back := subscribed(t, c, "a", ""), subscribed(t, other, "back", "")
		var events []EventKind
		stop := c.Notify(func(ev Event) { events = append(events, ev.Kind) })
		c.Disconnect()
		c.Disconnect()
		if err := c.Publish("a", "", nil); !errors.Is(err, ErrNotConnected) || c.Connected() {
			t.Errorf("publishing without a connection: %v", err)
		}
		send(t, other, "a", "back", "lost")
		is(t, "the publisher", back(), "503 back")
		c.Reconnect()
		send(t, other, "a", "", "kept")
		is(t, "a", got(), "kept")
		stop()
		c.Disconnect()
		if !slices.Equal(events, []EventKind{Disconnected, Reconnected}) || c.Generation() != 1 {
			t.Errorf("events %v, generation %d", events, c.Generation())
		}
	})
}

func TestAFrozenConnectionIsSilentBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewNet(1)
		c, other := net.Dial(), net.Dial()
		in, out, back := subscribed(t, c, "in", ""), subscribed(t, other, "out", ""), subscribed(t, other, "back", "")
		c.Freeze(true)
		send(t, c, "out", "", "lost")
		send(t, other, "in", "back", "lost")
		is(t, "the frozen", in())
		is(t, "the other", out())
		is(t, "who asks it", back())
		c.Freeze(false)
		send(t, c, "out", "", "kept")
		send(t, other, "in", "", "kept")
		is(t, "the frozen", in(), "kept")
		is(t, "the other", out(), "kept")
	})
}

func TestATapDecidesWhatIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewNet(1)
		c := net.Dial()
		got := subscribed(t, c, "a", "")
		var kept []Msg
		net.Tap(func(from *SimConn, m Msg) []Msg {
			if from != c {
				t.Error("the tap was told of another connection")
			}
			switch string(m.Data) {
			case "drop":
				return nil
			case "repeat":
				return []Msg{m, m}
			case "swap":
				kept = append(kept, m)
				return nil
			}
			return append([]Msg{m}, kept...)
		})
		for _, data := range []string{"1", "drop", "repeat", "swap", "2"} {
			send(t, c, "a", "", data)
		}
		is(t, "a", got(), "1", "repeat", "repeat", "2", "swap")
		net.Tap(nil)
		send(t, c, "a", "", "drop")
		if got := got(); got[len(got)-1] != "drop" {
			t.Errorf("after the tap was removed %q", got)
		}
	})
}

func TestADrainDeliversWhatWasOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewNet(1).Dial()
		gate, seen := make(chan struct{}), 0
		sub, err := c.Subscribe("a", "", func(Msg) { <-gate; seen++ })
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			send(t, c, "a", "", fmt.Sprint(i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := sub.Drain(ctx); !errors.Is(err, context.Canceled) || c.Subscriptions() != 0 {
			t.Errorf("a drain that is given up: %v, %d subscriptions", err, c.Subscriptions())
		}
		send(t, c, "a", "", "too late")
		close(gate)
		if err := sub.Drain(t.Context()); err != nil || seen != 10 {
			t.Errorf("%d messages were delivered, %v", seen, err)
		}
	})
}

func TestUnsubscribingDeliversNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewNet(1).Dial()
		gate := make(chan struct{})
		var seen atomic.Int64
		sub, err := c.Subscribe("a", "", func(Msg) { seen.Add(1); <-gate })
		if err != nil {
			t.Fatal(err)
		}
		send(t, c, "a", "", "1")
		synctest.Wait()
		send(t, c, "a", "", "2")
		if err := sub.Unsubscribe(); err != nil || c.Subscriptions() != 0 {
			t.Errorf("%v, %d subscriptions", err, c.Subscriptions())
		}
		send(t, c, "a", "", "3")
		close(gate)
		synctest.Wait()
		if seen.Load() != 1 {
			t.Errorf("%d messages were delivered", seen.Load())
		}
	})
}
