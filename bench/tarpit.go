// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net"
	"sync/atomic"
)

// A tarpit passes a TCP connection on until it is told to swallow: from then on
// it takes nothing more from the far side, which sees a peer that is there and
// does not read.
type tarpit struct {
	listener   net.Listener
	far        string // address
	swallowing atomic.Bool
}

func newTarpit(far string) (*tarpit, error) {
	l, err := listen()
	if err != nil {
		return nil, err
	}
	t := &tarpit{listener: l, far: far}
	go t.run() // as long as the process lives
	return t, nil
}

func (t *tarpit) run() {
	for {
		near, err := t.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", t.far)
		if err != nil {
			_ = near.Close()
			continue
		}
		go func() { _, _ = io.Copy(far, near) }() // either side may end at any time
		go t.swallow(near, far)
	}
}

// swallow passes what comes from far on to near.
func (t *tarpit) swallow(near, far net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := far.Read(buf)
		if t.swallowing.Load() {
			select {} // and keep both open
		}
		if err != nil {
			_ = near.Close()
			return
		}
		if _, err := near.Write(buf[:n]); err != nil {
			return
		}
	}
}
