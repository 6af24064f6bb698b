// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/internal/transport"
)

// Borders between accounts and permissions to answer let an address live for so
// long, or take so many messages: each side writes to the newest that the other
// has given, whichever stream it is about.
func TestBothSidesWriteToTheNewestAddressOfTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		var mu sync.Mutex
		gave := map[*transport.SimConn][]string{} // addresses, in their order
		wrote := map[*transport.SimConn]string{}  // where to last
		p.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			mu.Lock()
			defer mu.Unlock()
			wrote[from] = m.Subject
			if m.Reply != "" {
				gave[from] = append(gave[from], m.Reply)
			}
			return []transport.Msg{m}
		})
		check := func(who string, from, to *transport.SimConn) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			all := gave[to]
			if n := len(all); n < 4 || wrote[from] != all[n-1] {
				t.Errorf("%s writes to %s; it was given %v", who, wrote[from], all)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		end := p.read(t, ctx)
		p.feed <- 1
		time.Sleep(3600 * time.Millisecond) // between two heartbeats
		p.feed <- 2
		check("the responder", p.far, p.near)
		time.Sleep(time.Second)
		cancel()
		<-end
		mu.Lock()
		given := gave[p.far]
		gave[p.far] = given[:len(given):len(given)]
		mu.Unlock()
		check("the caller", p.near, p.far)
	})
}
