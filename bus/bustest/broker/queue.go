// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"
	"time"
)

const maxQueue = 256 << 10 // bytes

// A piece is what a lane's reader hands to its writer; nil bytes are the end.
type piece struct {
	bytes []byte
	read  time.Time
}

// A queue is bounded by bytes, but always has room for one piece.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond
	pieces  []piece
	size    int
	closed  bool
}

func newQueue() *queue {
	q := &queue{}
	q.changed.L = &q.mu
	return q
}

// push waits for room. It reports whether the queue is still open.
func (q *queue) push(p piece) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.size > 0 && q.size+len(p.bytes) > maxQueue {
		q.changed.Wait()
	}
	if q.closed {
		return false
	}
	q.pieces = append(q.pieces, p)
	q.size += len(p.bytes)
	q.changed.Broadcast()
	return true
}

// pop waits for a piece. It reports whether the queue is still open.
func (q *queue) pop() (piece, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.pieces) == 0 {
		q.changed.Wait()
	}
	if q.closed {
		return piece{}, false
	}
	p := q.pieces[0]
	q.pieces[0] = piece{} // the array may live on
	q.pieces = q.pieces[1:]
	q.size -= len(p.bytes)
	q.changed.Broadcast()
	return p, true
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pieces) == 0
}

// close wakes both sides and drops what is queued.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.pieces = nil
	q.changed.Broadcast()
}
