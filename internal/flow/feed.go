// SPDX-License-Identifier: Apache-2.0

package flow

import "slices"

// A Span is where a frame of a feed stands in the source of its updates: those
// behind position Before up to Last are in it, none twice and none missing.
type Span struct{ Before, Last uint64 }

// Of what came before its turn an [Order] keeps so much. What is beyond is asked
// for again.
const (
	maxStash      = 256 // frames
	maxStashBytes = 4 << 20
)

// An Order puts the frames of one feed in order, as they come on several ways:
// some lost, some repeated, some before their turn. It is made with [NewOrder].
type Order[T any] struct {
	have  uint64 // all up to this position was delivered
	top   uint64 // the furthest position known of
	stash []stashed[T]
	bytes int
}

type stashed[T any] struct {
	Span
	frame T
	size  int
}

// NewOrder returns the order of what comes behind position have.
func NewOrder[T any](have uint64) Order[T] { return Order[T]{have: have, top: have} }

// Have is the position up to which all was delivered.
func (o *Order[T]) Have() uint64 { return o.have }

// Behind reports whether something beyond Have is known of.
func (o *Order[T]) Behind() bool { return o.have < o.top }

// Reached notes that the feed has come to position top.
func (o *Order[T]) Reached(top uint64) { o.top = max(o.top, top) }

// Take takes a frame of size bytes and delivers what is due now, in order. A
// delivered frame may begin before what was delivered before it, never behind.
// Take reports false if something between is missing.
func (o *Order[T]) Take(s Span, frame T, size int, deliver func(Span, T)) bool {
	if s.Before > s.Last {
		return !o.Behind()
	}
	o.Reached(s.Last)
	switch {
	case s.Last <= o.have:
	case s.Before <= o.have:
		o.have = s.Last
		deliver(s, frame)
		o.unstash(deliver)
	default:
		o.keep(stashed[T]{s, frame, size})
	}
	return !o.Behind()
}

// keep puts a frame where it belongs among those that wait.
func (o *Order[T]) keep(s stashed[T]) {
	if len(o.stash) >= maxStash || o.bytes+s.size > maxStashBytes {
		return
	}
	at, known := slices.BinarySearchFunc(o.stash, s.Before, func(o stashed[T], before uint64) int {
		switch {
		case o.Before < before:
			return -1
		case o.Before > before:
			return 1
		}
		return 0
	})
	if known && o.stash[at].Last >= s.Last {
		return
	}
	o.stash = slices.Insert(o.stash, at, s)
	o.bytes += s.size
}

// unstash delivers those that waited for what was delivered.
func (o *Order[T]) unstash(deliver func(Span, T)) {
	n := 0
	for ; n < len(o.stash) && o.stash[n].Before <= o.have; n++ {
		s := o.stash[n]
		o.bytes -= s.size
		if s.Last > o.have {
			o.have = s.Last
			deliver(s.Span, s.frame)
		}
	}
	o.stash = slices.Delete(o.stash, 0, n)
}
