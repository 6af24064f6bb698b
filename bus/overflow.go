// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"cmp"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	writeSoon    = 20 * time.Millisecond // a write that takes longer goes on by itself
	takesNothing = 10 * time.Second      // who took nothing for so long is given up; as a broker's write_deadline
	mostWaiting  = 32 << 20              // bytes that may wait; the last write may be longer
	writePiece   = 64 << 10
	lastWords    = time.Second // of a connection that is closed while something waits
)

// An overflow is the sending end of a TCP connection, and keeps what the broker does
// not take now. nats.go writes under the lock that all of its methods take: a write
// that blocks, as one to a stopped broker does when the sockets' buffers are full,
// would hold up every call on the connection whatever its context says, and the
// heartbeats that tell who lives.
type overflow struct {
	conn    net.Conn
	waiting atomic.Int64 // bytes

	mu    sync.Mutex // guards the fields below; held during a write that nothing waits behind
	rest  []byte     // to be written by the goroutine of push
	clear chan struct{}
	less  *sync.Cond // there is less that waits, or err
	err   error
}

func newOverflow(c net.Conn) *overflow {
	o := &overflow{conn: c}
	o.less = sync.NewCond(&o.mu)
	return o
}

// write takes all of b. It returns soon, unless more than mostWaiting waits.
func (o *overflow) write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.err == nil && o.waiting.Load() > mostWaiting {
		o.less.Wait()
	}
	if o.err != nil {
		return 0, o.err
	}
	sent := 0
	if o.clear == nil {
		n, err := o.try(b, writeSoon)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		sent = n
		o.clear = make(chan struct{})
		go o.push()
	}
	o.rest = append(o.rest, b[sent:]...)
	o.waiting.Add(int64(len(b) - sent))
	return len(b), nil
}

func (o *overflow) try(b []byte, patience time.Duration) (int, error) {
	if err := o.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return o.conn.Write(b)
}

// push writes what waits, until nothing does or the broker is given up: the
// connection ends then. close waits for it.
func (o *overflow) push() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.rest) > 0 && o.err == nil {
		b := o.rest
		o.rest = nil
		for len(b) > 0 && o.err == nil {
			o.mu.Unlock()
			n, err := o.try(b[:min(len(b), writePiece)], takesNothing)
			o.mu.Lock()
			b = b[n:]
			o.waiting.Add(-int64(n))
			o.less.Broadcast()
			if n == 0 || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				o.fail(err)
			}
		}
	}
	close(o.clear)
	o.clear = nil
}

// fail ends the connection: its reader finds out, and dials anew. o.mu is held.
func (o *overflow) fail(err error) {
	o.err, o.rest = cmp.Or(o.err, err), nil
	o.waiting.Store(0)
	o.less.Broadcast()
	_ = o.conn.Close() // err says more
}

// blocked returns a channel that is closed when nothing waits any more; nil if no
// more than some bytes do.
func (o *overflow) blocked(some int64) <-chan struct{} {
	if o.waiting.Load() <= some {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clear
}

// close ends the connection when what waits has left, or after lastWords.
func (o *overflow) close() error {
	if clear := o.blocked(0); clear != nil {
		t := time.AfterFunc(lastWords, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.clear == clear && o.err == nil {
				o.fail(net.ErrClosed)
			}
		})
		<-clear
		t.Stop()
	}
	return o.conn.Close()
}
