// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// A dialer is where a client connects to a broker in its process.
type dialer struct{ *Server }

func (d dialer) InProcessConn() (net.Conn, error) { return d.Dial() }

func TestABrokerInTheProcessIsLeftAndFoundAgainInVirtualTime(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			srv := Run(t, Options{InProcess: true})
			c := connect(t, srv.URL(), nats.InProcessServer(dialer{srv}))
			got := c.subscribe(t, "news")
			c.publish(t, "news", "before")
			receive(t, "message", got)

			srv.Kill()
			receive(t, "disconnect", c.disconnected)
			if conn, err := srv.Dial(); err == nil {
				_ = conn.Close()
				t.Error("who dials a broker that is down gets a connection")
			}
			time.Sleep(time.Second)
			if err := srv.Restart(); err != nil {
				t.Fatal(err)
			}
			receive(t, "reconnect", c.reconnected)
			c.publish(t, "news", "after a second")
			if m := receive(t, "message", got); string(m.Data) != "after a second" {
				t.Errorf("received %q", m.Data)
			}
		})
		runtime.GC()
		runtime.GC()
	}
}
