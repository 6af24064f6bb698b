// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second // for what has to happen

// eventually fails the test if cond does not become true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := poll(ctx, cond); err != nil {
		t.Fatalf("never happened: %s", what)
	}
}

// receive takes the next value, or fails the test.
func receive[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("never happened: %s", what)
		panic("unreachable")
	}
}

// A client is a plain nats.go connection whose events can be waited for.
type client struct {
	*nats.Conn
	disconnected chan error
	reconnected  chan struct{}
	lameDuck     chan struct{}
	failed       chan error // asynchronous errors
}

func connect(t *testing.T, url string, options ...nats.Option) *client {
	t.Helper()
	c := &client{
		disconnected: make(chan error, 100),
		reconnected:  make(chan struct{}, 100),
		lameDuck:     make(chan struct{}, 100),
		failed:       make(chan error, 100),
	}
	closed := make(chan struct{})
	options = append([]nats.Option{
		nats.Timeout(patience),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(5 * time.Millisecond),
		nats.ReconnectJitter(0, 0),
		nats.DontRandomize(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.disconnected <- err }),
		nats.ReconnectHandler(func(*nats.Conn) { c.reconnected <- struct{}{} }),
		nats.LameDuckModeHandler(func(*nats.Conn) { c.lameDuck <- struct{}{} }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.failed <- err }),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	}, options...)
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	c.Conn = nc
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return c
}

func (c *client) subscribe(t *testing.T, subject string) <-chan *nats.Msg {
	t.Helper()
	ch := make(chan *nats.Msg, 10_000)
	if _, err := c.ChanSubscribe(subject, ch); err != nil {
		t.Fatal(err)
	}
	c.flush(t)
	return ch
}

func (c *client) publish(t *testing.T, subject string, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if err := c.Publish(subject, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *client) flush(t *testing.T) {
	t.Helper()
	if err := c.FlushTimeout(patience); err != nil {
		t.Fatalf("flush: %v", err)
	}
}
