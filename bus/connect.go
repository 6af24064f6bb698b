// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect connects to a NATS server with the options that clients and servers
// of this package want, to which options may add:
//
//   - no reconnect buffer: a call that was given up never runs later;
//   - reconnecting for ever, after random times: eight of up to 6 ms each, as a
//     broker that restarts is back at once, then longer ones of up to 5 s, so that
//     a fleet does not come back at once;
//   - a first connection that fails is tried again like a lost one, and refused
//     credentials do not end the connection;
//   - a ping every 5 s, and the connection is given up after two that are not
//     answered;
//   - a write that blocks holds nobody up whose context ends, and the connection is
//     given up whose broker takes nothing for 10 s: nats.go waits for a minute, with
//     all that the connection is used for. Where a dialer of one's own brings another
//     connection than TCP, such as TLS, calls still wait, for those 10 s at most;
//   - a broker whose max_payload was lowered while it was connected, and that
//     refuses a message, is connected to again; nats.go closes the connection for
//     good then, and does so here too where TLS is its own.
//
// The connection is the caller's to close.
func Connect(url string, options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(url, slices.Concat(defaults(), options, []nats.Option{dialling})...)
}

func defaults() []nats.Option {
	return []nats.Option{
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(takesNothing),
		nats.CustomReconnectDelay(reconnectDelay),
	}
}

// How long to wait before trying to reconnect. A broker that is restarted is back
// within some ten milliseconds, so that is how often it is looked for at first.
// Whoever is away for longer is left alone: in half a minute a client tries 24
// times at most.
const (
	reconnectFast  = 6 * time.Millisecond // at most, before each of the first attempts
	reconnectSoon  = 8                    // of these
	reconnectMost  = 5 * time.Second
	reconnectTimes = 3 // as long as the one before, each of the others
)

// reconnectDelay is random, or all clients of a broker return together. It is at
// least half of what it is at most: who has bad luck with its numbers tries no
// more often than twice what is meant.
func reconnectDelay(attempt int) time.Duration {
	most := reconnectFast
	for n := reconnectSoon; n < attempt && most < reconnectMost; n++ {
		most *= reconnectTimes
	}
	most = min(most, reconnectMost)
	return most/2 + rand.N(most/2)
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
