// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
)

func TestReadersOfFeedsEndWhenTheConnectionOfTheFeedsIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		own := s.net.Dial()
		nc, release := transport.StandIn(own)
		defer release()
		near, releaseNear := transport.StandIn(s.net.Dial())
		defer releaseNear()
		client := bus.NewClient(near, bus.ClientOptions{Feeds: nc, AnyConn: true})
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wait := followers(ctx, client, 3)
		s.pub.Publish(1)
		synctest.Wait()
		own.Close()
		s.pub.Publish(2)
		for i, r := range wait() {
			if !errors.Is(r.err, bus.Disconnected) || !slices.Equal(r.read, []int{1}) {
				t.Errorf("reader %d: %v, then %v; want %v", i, r.read, r.err, bus.Disconnected)
			}
		}
		wait = followers(ctx, client, 1)
		s.pub.Publish(3)
		synctest.Wait()
		cancel()
		if r := wait()[0]; !slices.Equal(r.read, []int{3}) {
			t.Errorf("the next reader has %v, then %v", r.read, r.err)
		}
	})
}

// endOf reads updates, and says how they ended.
func endOf(updates iter.Seq2[int, error]) <-chan error {
	ended := make(chan error, 1)
	go func() {
		var last error
		for _, err := range updates {
			last = err
		}
		ended <- last
	}()
	return ended
}

func TestAStreamThatMayResumeEndsWhenItsConnectionIsClosed(t *testing.T) {
	for _, outage := range []time.Duration{0, time.Second, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			r := newResuming(t, 100)
			ctx, cancel := context.WithTimeout(bus.WithResume(t.Context(), bus.Resume{}), time.Minute)
			defer cancel()
			_, updates, err := sumsV2.Client(r.client)(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			ended := endOf(updates)
			synctest.Wait()
			if outage > 0 {
				r.near.Disconnect()
				time.Sleep(outage)
			}
			closed := time.Now()
			r.near.Close()
			if err := <-ended; !errors.Is(err, bus.Disconnected) || !bus.EndsStream(err) || time.Since(closed) > 10*time.Second {
				t.Errorf("closed after an outage of %v it ended after %v with %v", outage, time.Since(closed), err)
			}
			if _, _, err := sumsV1.Client(r.client)(t.Context(), 0); !errors.Is(err, bus.Disconnected) {
				t.Errorf("opened later: %v", err)
			}
		})
	}
}
