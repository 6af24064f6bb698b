// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// A socket is what a process has for a TCP connection to the broker, both ends
// with what is between them. The process's end is a net.Conn, for nats.go; the
// broker reads and writes conn.
//
// nats.go writes and makes connections while it holds a lock that everybody needs
// who uses the connection, and who waits for a lock stops virtual time. Hence
// Write never waits, however much is on its way, and nothing takes time until the
// broker has answered the first ping, with which a connection is made.
type socket struct {
	net.Conn // to the broker; the addresses are its
	process  *process
	out, in  *inflow // what has arrived at the broker's end, and at the process's

	// The lock of the lines guards these.
	met  bool // the first ping was answered
	mute bool // what the process writes gets nowhere
}

// newSocket returns a socket whose goroutines end when both sides have closed it,
// or it was cut.
func newSocket(p *process, conn net.Conn) *socket {
	s := &socket{Conn: conn, process: p, out: newInflow(), in: newInflow()}
	p.net.moving.Go(s.send)
	p.net.moving.Go(s.bring)
	return s
}

// send hands to the broker what has arrived.
func (s *socket) send() {
	buf := make([]byte, 16<<10)
	for {
		n, err := s.out.read(buf)
		if err == nil {
			_, err = s.Conn.Write(buf[:n])
		}
		if err != nil {
			_ = s.Conn.Close() // it holds nothing that could be lost
			return
		}
	}
}

// bring takes from the broker what the process is to read, as long as there is
// room for it.
func (s *socket) bring() {
	buf := make([]byte, 16<<10)
	for s.in.await(s.process.room()) {
		n, err := s.Conn.Read(buf)
		s.arrives(buf[:n], err)
		if err != nil {
			_ = s.Conn.Close()
			return
		}
	}
	_, _ = io.Copy(io.Discard, s.Conn) // until send closes it
}

// arrives sends what the broker wrote, and the end of it, to the process.
func (s *socket) arrives(data []byte, err error) {
	p := s.process
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	data = slices.Clone(data)
	deliver := func() { s.in.put(data) }
	s.in.expect(len(data))
	switch {
	case p.socket != s:
		return
	case s.met:
		p.down.send(len(data), deliver)
	default:
		deliver()
		s.met = bytes.Contains(data, []byte("PONG\r\n"))
	}
	if err != nil {
		p.down.send(0, func() { s.in.end(io.EOF) })
	}
}

// Read implements net.Conn, for the process.
func (s *socket) Read(b []byte) (int, error) { return s.in.read(b) }

// Write implements net.Conn, for the process.
func (s *socket) Write(b []byte) (int, error) {
	s.process.net.lines.mu.Lock()
	defer s.process.net.lines.mu.Unlock()
	data := slices.Clone(b)
	switch {
	case s.mute:
	case s.process.socket != s:
		return 0, net.ErrClosed
	case s.met:
		s.process.up.send(len(data), func() { s.out.put(data) })
	default:
		s.out.put(data)
	}
	return len(b), nil
}

// Close implements net.Conn, for the process. What was written before arrives.
func (s *socket) Close() error {
	s.process.net.lines.mu.Lock()
	defer s.process.net.lines.mu.Unlock()
	if s.process.socket == s {
		s.cut(true, net.ErrClosed)
	}
	s.in.end(net.ErrClosed)
	return nil
}

// SetDeadline implements net.Conn. What it is for does not take time here.
func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// cut ends the connection at once for the process, and for the broker when what
// is on its way has arrived, if flushed. The lines are locked.
func (s *socket) cut(flushed bool, why error) {
	p := s.process
	p.socket = nil
	p.old = append(p.old, s)
	if flushed {
		p.up.send(0, func() { s.out.end(io.EOF) })
		p.down.lose()
	} else {
		p.lose()
	}
	s.in.drop(why)
}

// silence is cut without the process's knowledge.
func (s *socket) silence() {
	p := s.process
	p.socket, s.mute = nil, true
	p.old = append(p.old, s)
	p.lose()
}

var errReset = errors.New("connection reset by peer")

// An inflow is what has arrived at one end of a connection.
type inflow struct {
	mu       sync.Mutex // guards the fields below
	data     []byte
	expected int   // bytes that have arrived or will, and were not read
	err      error // what is read after data
	wake     chan struct{}
	less     chan struct{}
}

func newInflow() *inflow {
	return &inflow{wake: make(chan struct{}, 1), less: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (i *inflow) put(data []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.data = append(i.data, data...)
		signal(i.wake)
	}
}

// end lets nothing more in.
func (i *inflow) end(why error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.err = why
	}
	signal(i.wake)
	signal(i.less)
}

// drop is end, and forgets what was not read.
func (i *inflow) drop(why error) {
	i.end(why)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.data = nil
}

// read waits for something. There is one reader.
func (i *inflow) read(b []byte) (int, error) {
	for {
		i.mu.Lock()
		n := copy(b, i.data)
		i.data = i.data[n:]
		i.expected -= n
		err := i.err
		i.mu.Unlock()
		switch {
		case n > 0:
			signal(i.less)
			return n, nil
		case err != nil:
			return 0, err
		}
		<-i.wake
	}
}

func (i *inflow) expect(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.expected += n
}

// await waits until there is room, and reports false if nothing is let in.
func (i *inflow) await(room int) bool {
	for {
		i.mu.Lock()
		full, err := i.expected >= room, i.err
		i.mu.Unlock()
		if err != nil || !full {
			return err == nil
		}
		<-i.less
	}
}
