// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
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
