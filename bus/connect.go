// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect connects to a NATS server with the options that clients and servers
// of this package want, to which options may add:
//
//   - no reconnect buffer: a call that was given up never runs later;
//   - reconnecting for ever, after a random time of up to 5 ms that doubles up to
//     2 s, so that a fleet does not come back at once;
//   - a first connection that fails is tried again like a lost one, and refused
//     credentials do not end the connection;
//   - a ping every 5 s, and the connection is given up after two that are not
//     answered.
//
// The connection is the caller's to close.
func Connect(url string, options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(url, append(defaults(), options...)...)
}

func defaults() []nats.Option {
	return []nats.Option{
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.CustomReconnectDelay(reconnectDelay),
	}
}

const (
	reconnectFirst = 5 * time.Millisecond
	reconnectMost  = 2 * time.Second
)

// reconnectDelay has full jitter, or all clients of a broker return together.
func reconnectDelay(attempt int) time.Duration {
	limit := reconnectFirst << min(max(attempt-1, 0), 12)
	return rand.N(min(limit, reconnectMost)) + time.Millisecond
}

// checkConn refuses a connection whose options can lose or repeat calls.
func checkConn(nc *nats.Conn, anyConn bool) error {
	if nc == nil {
		return &Error{Code: Invalid, Message: "no NATS connection: it is nil"}
	}
	if nc.IsClosed() {
		return &Error{Code: Invalid, Message: "the NATS connection is closed"}
	}
	if anyConn {
		return nil
	}
	var bad []string
	o := nc.Opts
	if o.ReconnectBufSize >= 0 {
		bad = append(bad, "ReconnectBufSize must be -1: calls would run after they were given up")
	}
	if o.AllowReconnect && o.MaxReconnect >= 0 {
		bad = append(bad, "MaxReconnects must be -1: the connection would close for good")
	}
	if !o.AllowReconnect {
		bad = append(bad, "NoReconnect must not be set")
	}
	if o.NoEcho {
		bad = append(bad, "NoEcho must not be set: calls between parts of one program would fail")
	}
	if len(bad) == 0 {
		return nil
	}
	return &Error{Code: Invalid, Message: "unsafe options of the NATS connection: " + strings.Join(bad, "; ") +
		". Use bus.Connect, set them, or set AnyConn to go on regardless"}
}
