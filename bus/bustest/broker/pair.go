// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bufio"
	"net"
	"sync"
	"time"
)

const (
	socketBuffer = 256 << 10
	readBuffer   = 32 << 10 // also the longest control line
)

// A pair is one connection through a proxy: the client's half and the server's.
// Each direction is a lane, which ends by itself, as halves of TCP connections
// do.
type pair struct {
	client, server *net.TCPConn
	lanes          [2]*lane

	once sync.Once
	done chan struct{} // closed by reset

	lost bool // something was swallowed; guarded by the proxy's mu
}

func newPair(p *Proxy, client, server *net.TCPConn) *pair {
	for _, c := range []*net.TCPConn{client, server} {
		_ = c.SetReadBuffer(socketBuffer) // where refused, back-pressure comes later
		_ = c.SetWriteBuffer(socketBuffer)
	}
	c := &pair{client: client, server: server, done: make(chan struct{})}
	c.lanes = [2]*lane{
		{proxy: p, pair: c, direction: ToServer, from: client, to: server, queue: newQueue()},
		{proxy: p, pair: c, direction: ToClient, from: server, to: client, queue: newQueue()},
	}
	return c
}

// run returns when both directions have ended.
func (c *pair) run() {
	var work sync.WaitGroup
	for _, l := range c.lanes {
		work.Go(l.read)
		work.Go(l.write)
	}
	work.Wait()
	_ = c.client.Close() // of no effect after reset
	_ = c.server.Close()
}

// reset breaks both halves at once. It does not wait.
func (c *pair) reset() {
	c.once.Do(func() {
		close(c.done)
		for _, l := range c.lanes {
			l.queue.close()
		}
		reset(c.client)
		reset(c.server)
	})
}

// reset closes a connection so that its peer sees ECONNRESET.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// A lane carries one direction of a pair. Its reader tampers and queues, its
// writer applies the other faults.
type lane struct {
	proxy     *Proxy
	pair      *pair
	direction Direction
	from, to  *net.TCPConn
	queue     *queue
	held      []byte    // a message that changes places with the next; the reader's
	free      time.Time // when a limit lets the next through; the writer's
}

func (l *lane) read() {
	defer l.send(nil)
	r := bufio.NewReaderSize(l.from, readBuffer)
	for {
		op, err := readOp(r, l.direction)
		if err == errNotNATS {
			l.copy(op.wire, r)
			return
		}
		if err != nil || !l.send(l.tampered(op)...) {
			return
		}
	}
}

// copy passes on, as it is, what is not the NATS protocol: broken lines, about
// which the receiver is to complain, and TLS.
func (l *lane) copy(first []byte, r *bufio.Reader) {
	if len(first) > 0 && !l.send(first) {
		return
	}
	for {
		b := make([]byte, readBuffer)
		n, err := r.Read(b)
		if err != nil || !l.send(b[:n]) {
			return
		}
	}
}

// send queues pieces for the writer; nil is the end. It reports whether the
// writer still takes them.
func (l *lane) send(pieces ...[]byte) bool {
	for _, b := range pieces {
		if !l.queue.push(piece{b, time.Now()}) {
			return false
		}
	}
	return true
}

// write delivers until the end. If the receiver is gone it goes on, since the
// sender must not learn of that in this direction: w keeps its error and drops
// what comes. The other direction's reader, which reads from the same socket,
// reports it.
func (l *lane) write() {
	w := bufio.NewWriterSize(l.to, readBuffer)
	for {
		if l.queue.empty() {
			_ = w.Flush()
		}
		p, ok := l.queue.pop()
		if !ok {
			return
		}
		switch l.await(p, w) {
		case swallow: // also the end: the pair stays until Heal resets it
		case deliver:
			if p.bytes == nil {
				_ = w.Flush()
				_ = l.to.CloseWrite()
				return
			}
			_, _ = w.Write(p.bytes)
		}
	}
}

// await waits for as long as the faults want, with nothing left in w.
func (l *lane) await(p piece, w *bufio.Writer) fate {
	for {
		f, due, changed := l.proxy.fate(l, p)
		if f != wait {
			return f
		}
		_ = w.Flush()
		var timer <-chan time.Time
		if !due.IsZero() {
			timer = time.After(time.Until(due))
		}
		select {
		case <-changed:
		case <-timer:
		case <-l.pair.done:
			return swallow
		}
	}
}
