// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
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
