// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/staterpc"
)

// TestAFeedIsPublishedOnAConnectionOfItsOwn loses that connection for a while,
// which the readers notice by what they are sent on the other.
func TestAFeedIsPublishedOnAConnectionOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var own *transport.SimConn
		s := newShopAs(t, func(net *transport.Net) bus.Service {
			own = net.Dial()
			nc, release := transport.StandIn(own)
			t.Cleanup(release)
			return bus.Service{Name: "test", Feeds: nc}
		})
		defer s.close()
		strays := 0
		s.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			if strings.HasPrefix(m.Subject, "_D.f.") != (from == own) {
				strays++
			}
			return []transport.Msg{m}
		})
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 5)
		want := []int{}
		for i := range 300 {
			switch i {
			case 100:
				own.Disconnect()
			case 200:
				time.Sleep(2 * time.Second)
				own.Reconnect()
			}
			s.pub.Publish(i)
			want = append(want, i)
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		if strays > 0 {
			t.Errorf("%d messages went by the wrong connection", strays)
		}
		cancel()
		for i, r := range wait() {
			if !slices.Equal(r.read, want) || !errors.Is(r.err, context.Canceled) {
				t.Errorf("reader %d: %d updates of %d, %v", i, len(r.read), len(want), r.err)
			}
		}
	})
}

// A stuck is a connection whose publishing waits, as one's does that its broker
// slows down.
type stuck struct {
	*transport.SimConn
	until atomic.Pointer[chan struct{}]
}

func (c *stuck) Publish(subject, reply string, data []byte) error {
	if until := c.until.Load(); until != nil {
		<-*until
	}
	return c.SimConn.Publish(subject, reply, data)
}

func TestAFeedsConnectionThatIsStuckDoesNotDelayStreamsOnTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		own, letGo := &stuck{SimConn: f.net.Dial()}, make(chan struct{})
		nc, release := transport.StandIn(own)
		defer release()
		pub := staterpc.NewPublisher(0, func(s, u int) int { return s + u }, 10)
		f.serve(bus.Service{Feeds: nc}, ticking(), sums.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			return pub.Watch(ctx)
		}).Shared())
		client := f.client(bus.ClientOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		_, updates, err := sums.Client(client)(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		own.until.Store(&letGo)
		pub.Publish(1)
		synctest.Wait()
		ticks, err := tickRPC.Client(client)(t.Context(), 0)
		if err != nil {
			t.Error("a stream beside the feed:", err)
			ticks = func(func(int, error) bool) {}
		}
		start := time.Now()
		for n, err := range ticks {
			if err != nil {
				t.Error(err)
			}
			if n == 1000 {
				break
			}
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("1,000 updates a millisecond apart took %v", d)
		}
		own.until.Store(nil)
		close(letGo)
		cancel()
		for range updates {
		}
	})
}
