// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
)

// Who did not answer the survey in time may serve all the same. Where a broker has
// the leaving responder take the calls of all that are near it, each refusal is a
// call that fails.
func TestWhoIsHeardLaterEndsTheRefusalsOfALeavingResponder(t *testing.T) {
	for name, deaf := range map[string]time.Duration{
		"before they begin": time.Second,
		"when they have":    2500 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				leaving := f.serve(bus.Service{}, naming("leaving"))
				f.serve(bus.Service{}, naming("other"))
				c := f.client(bus.ClientOptions{})
				began, last := time.Now(), time.Duration(0)
				f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
					since := time.Since(began)
					if strings.HasPrefix(strings.Join(m.Header["Nats-Service-Error"], ""), string(bus.NoResponder)) {
						last = since
					}
					if strings.Contains(m.Subject, ".menu.") && since < deaf {
						return nil
					}
					return []transport.Msg{m}
				})
				go callFor(t, c, 4*time.Second)
				synctest.Wait()
				drainTook(t, leaving)
				time.Sleep(time.Minute)
				if last > max(deaf, 2250*time.Millisecond)+300*time.Millisecond || deaf < 2*time.Second && last > 0 {
					t.Errorf("a call was refused %v after the drain began", last)
				}
			})
		})
	}
}
