// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"encoding/binary"
	"time"

	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// What callers and responders have between them: one name, so that the account
// exports of docs/operations.md are those of this fleet, word for word.
var (
	onceRPC    = unaryrpc.RPC[job, receipt]{Name: "market.price", Version: 1}
	againRPC   = unaryrpc.RPC[job, receipt]{Name: "market.price", Version: 2, Idempotent: true}
	trailRPC   = piperpc.RPC[trail, step]{Name: "market.price", Version: 3}
	privateRPC = staterpc.RPC[int, book, entry]{Name: "market.price", Version: 4}
	sharedRPC  = staterpc.RPC[int, book, entry]{Name: "market.price", Version: 5}
)

// A job is a call: the caller's nth, to be answered after some work.
type job struct {
	Caller   int
	N        uint64
	Work     time.Duration
	Deadline int64 // of the caller, in nanoseconds since 1970; 0 is none
	Answer   int   // bytes that the receipt is to have
	Pad      []byte
}

// A receipt answers a job.
type receipt struct {
	Caller int
	N      uint64
	Pad    []byte
}

// A trail asks for steps.
type trail struct {
	ID    uint64
	Count int // steps until the end
	Size  int // bytes of each
}

// A step is one element of a trail.
type step struct {
	N    int
	Data []byte
}

// A book is the state of one topic at one responder's process. Its value is a
// function of the rest, so that whoever has a book knows whether it is right.
type book struct {
	Source uint64
	Topic  int
	N      uint64 // entries so far
	Value  uint64
	At     int64 // when the last was made, in nanoseconds since 1970
}

// An entry leads from one value of a book to the next.
type entry struct {
	N     uint64
	Delta uint64
	At    int64
}

func apply(b book, e entry) book {
	b.N, b.Value, b.At = e.N, b.Value+e.Delta, e.At
	return b
}

// right is the value of a book with n entries.
func right(b book, n uint64) uint64 {
	return scramble(b.Source ^ uint64(b.Topic)<<48 ^ n)
}

// entryAfter is what a book's source publishes after b.
func entryAfter(b book, at time.Time) entry {
	return entry{N: b.N + 1, Delta: right(b, b.N+1) - right(b, b.N), At: at.UnixNano()}
}

// pad is n bytes that belong to one call or element alone.
func pad(seed uint64, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		seed = scramble(seed)
		b = binary.BigEndian.AppendUint64(b, seed)
	}
	return b[:n]
}

// scramble is the step of splitmix64.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
