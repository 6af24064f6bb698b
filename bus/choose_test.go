// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// messages counts what is on the network while f runs.
func (f fleet) messages(during func()) (n int) {
	f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
		n++
		return []transport.Msg{m}
	})
	during()
	synctest.Wait()
	f.net.Tap(nil)
	return n
}

func TestAVersionIsChosenWithoutAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.serve(bus.Service{}, echo(1), echo(3))
		c := f.client(bus.ClientOptions{})
		family := versioned.New(nameRPC3, nameRPC).Client(c)
		calls := func(call unaryrpc.Func[string, string]) func() {
			return func() {
				for range 100 {
					if answer, err := call(t.Context(), "a"); answer != "a" || err != nil {
						t.Errorf("got %q, %v", answer, err)
					}
				}
			}
		}
		calls(family)() // the first waits for the menu
		if plain, chosen := f.messages(calls(nameRPC3.Client(c))), f.messages(calls(family)); chosen != plain || plain < 200 {
			t.Errorf("100 calls are %d messages, and %d where the version is chosen", plain, chosen)
		}
		time.Sleep(2 * time.Second) // what is known is old: the menu is asked for beside the calls
		start := time.Now()
		plain, chosen := f.messages(calls(nameRPC3.Client(c))), f.messages(calls(family))
		if extra := chosen - plain; extra < 1 || extra > 3 || time.Since(start) > 0 {
			t.Errorf("after 2 s: %d messages more, %v of waiting", extra, time.Since(start))
		}
	})
}
