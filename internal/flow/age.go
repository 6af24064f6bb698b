// SPDX-License-Identifier: Apache-2.0

package flow

import "time"

// MaxAge is how long a request may have been on its way and still be carried
// out: as long as a caller waits for a first sign.
const MaxAge = 2 * time.Second

// Transit learns how long one caller's requests are on their way though the two
// clocks have different origins: the least difference between receiving and
// sending that was seen is taken for no time at all.
type Transit struct {
	least time.Duration
	known bool
}

// Age returns how much longer than the fastest so far a request took. The first
// is the fastest so far.
func (t *Transit) Age(sent, received time.Duration) time.Duration {
	d := received - sent
	if !t.known || d < t.least {
		t.least, t.known = d, true
	}
	return d - t.least
}

// Forget makes the next request a first one.
func (t *Transit) Forget() { *t = Transit{} }

// Expired reports whether a request of that age, which had left time to live
// when it was sent (0 is for ever), must not be carried out.
func Expired(age, left time.Duration) bool {
	return age > MaxAge || left > 0 && age >= left
}

// Seen remembers which of one caller's calls were received, so that a repeated
// request does not start a second handler. Calls are numbered upwards; it looks
// back 1,024 numbers and takes anything older for seen.
type Seen struct {
	highest uint64
	bits    [16]uint64
}

const seenSpan = 16 * 64

// Old reports whether call is too far back to be told from a repeated one.
func (s *Seen) Old(call uint64) bool { return call < s.highest && s.highest-call >= seenSpan }

// First reports whether call was not seen before, and remembers it.
func (s *Seen) First(call uint64) bool {
	switch {
	case call > s.highest:
		if call-s.highest >= seenSpan {
			s.bits = [16]uint64{}
		} else {
			for n := s.highest + 1; n < call; n++ {
				s.bits[n%seenSpan/64] &^= 1 << (n % 64)
			}
		}
		s.highest = call
	case s.Old(call):
		return false
	case s.bits[call%seenSpan/64]&(1<<(call%64)) != 0:
		return false
	}
	s.bits[call%seenSpan/64] |= 1 << (call % 64)
	return true
}
