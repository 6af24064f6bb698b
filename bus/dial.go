// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"net"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// tooMuch is the last that a broker says to a client whose message is beyond its
// max_payload. When that is lowered by a reload clients are not told, so that
// nobody can know better; and nats.go closes the connection for good.
const tooMuch = "-ERR 'Maximum Payload Violation'\r\n"

// dialling makes the connections of this package: no write blocks (see overflow),
// and where their broker says tooMuch they end without that word, so that nats.go
// makes them again and learns what the broker takes now. It must be the last of the
// options. What nats.go encrypts itself, or has in a WebSocket, it cannot read and
// leaves alone.
func dialling(o *nats.Options) error {
	d := &dialer{CustomDialer: o.CustomDialer}
	if d.CustomDialer == nil {
		plain := net.Dialer{Timeout: o.Timeout}
		if o.Dialer != nil {
			plain = *o.Dialer
		}
		if o.AllowMultipathTCP != nil {
			plain.SetMultipathTCP(*o.AllowMultipathTCP)
		}
		d.CustomDialer = &plain
	}
	o.CustomDialer = d
	return nil
}

// A dialer makes the connections of one *nats.Conn, one after the other.
type dialer struct {
	nats.CustomDialer
	out atomic.Pointer[overflow] // of the newest; nil before it, or where it has none
}

// Dial implements [nats.CustomDialer].
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.CustomDialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	made := &forgivingConn{Conn: c}
	if tcp, ok := c.(*net.TCPConn); ok { // others may not survive a write that was cut short, as TLS does not
		made.out = newOverflow(tcp)
	}
	d.out.Store(made.out)
	return made, nil
}

// Blocked returns a channel that is closed when all has left that was written; nil if
// no more than some bytes of it wait.
func (d *dialer) Blocked(some int) <-chan struct{} {
	if o := d.out.Load(); o != nil {
		return o.blocked(int64(some))
	}
	return nil
}

// SkipTLSHandshake tells nats.go what the dialer within does about TLS.
func (d *dialer) SkipTLSHandshake() bool {
	s, ok := d.CustomDialer.(interface{ SkipTLSHandshake() bool })
	return ok && s.SkipTLSHandshake()
}

// A forgivingConn keeps back what may be the last word of a broker until something
// follows it. If that is the end of the connection it is dropped; it was a part of
// a message otherwise.
//
// Nothing may follow for long where lines do not end as NATS's do. So it keeps
// nothing back unless the client has begun with NATS's word, and not with the
// handshake of TLS or of a WebSocket.
type forgivingConn struct {
	net.Conn
	out    *overflow // writes; nil where that is the connection's business
	spoken bool      // the client has said something
	plain  bool      // which was NATS's
	held   []byte    // the end of what was read, which tooMuch begins with
	room   [len(tooMuch)]byte
}

// Write implements [net.Conn]. What is written first is, before anything is written
// or read by another goroutine.
func (c *forgivingConn) Write(b []byte) (int, error) {
	if !c.spoken {
		c.spoken, c.plain = true, bytes.HasPrefix(b, []byte("CONNECT "))
	}
	if c.out != nil {
		return c.out.write(b)
	}
	return c.Conn.Write(b)
}

// SetWriteDeadline implements [net.Conn]. An overflow has deadlines of its own.
func (c *forgivingConn) SetWriteDeadline(t time.Time) error {
	if c.out != nil {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// Close implements [net.Conn].
func (c *forgivingConn) Close() error {
	if c.out != nil {
		return c.out.close()
	}
	return c.Conn.Close()
}

// Read implements [net.Conn].
func (c *forgivingConn) Read(b []byte) (int, error) {
	if !c.plain {
		return c.Conn.Read(b)
	}
	for {
		if len(b) <= len(c.held) { // there is no room to see what follows
			n := copy(b, c.held)
			c.held = c.held[n:]
			return n, nil
		}
		n, err := c.Conn.Read(b[len(c.held):])
		if err != nil && n == 0 && len(c.held) == len(tooMuch) {
			c.held = nil
			return 0, err
		}
		n += copy(b, c.held)
		if c.held = nil; err != nil {
			return n, err
		}
		keep := begun(b[:n])
		c.held = append(c.room[:0], b[n-keep:n]...)
		if n > keep {
			return n - keep, nil
		}
	}
}

// begun returns how many bytes at the end of b are the beginning of tooMuch.
func begun(b []byte) int {
	if len(b) == 0 || b[len(b)-1] == '\n' && len(b) < len(tooMuch) {
		return 0
	}
	least := 1
	if b[len(b)-1] == '\n' { // as nearly always: then it is all of it, or nothing
		least = len(tooMuch)
	}
	for n := min(len(b), len(tooMuch)); n >= least; n-- {
		if string(b[len(b)-n:]) == tooMuch[:n] {
			return n
		}
	}
	return 0
}
