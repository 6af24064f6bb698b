// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"encoding/binary"
	"testing"
	"time"
)

// FuzzSeen compares with a set: no call is ever first twice, and one that was
// never seen is first if it is not too old.
func FuzzSeen(f *testing.F) {
	steps := func(calls ...uint16) (b []byte) {
		for _, c := range calls {
			b = binary.BigEndian.AppendUint16(b, c)
		}
		return b
	}
	f.Add(steps(1, 2, 3, 2, 5, 4, 1), uint64(0))
	f.Add(steps(64, 63, 65, 0, 1088, 64, 65, 1023, 1024, 1025, 2048, 1025, 1024), uint64(1<<63))
	f.Add(steps(10, 1034, 10, 11, 2057, 1034, 1033, 3081, 9000, 7977, 7976), uint64(0))
	f.Add(steps(10, 0xffff, 0, 0xfffe, 0x7fff), uint64(1<<64-0x8000)) // a number that leaves no other
	f.Fuzz(func(t *testing.T, steps []byte, from uint64) {
		var s Seen
		set := map[uint64]bool{}
		highest := uint64(0)
		for ; len(steps) >= 2; steps = steps[2:] {
			call := from + uint64(binary.BigEndian.Uint16(steps))
			tooOld := call < highest && highest-call >= 1024
			if got, want := s.First(call), !set[call] && !tooOld; got != want {
				t.Fatalf("First(%d) = %t, the highest being %d", call, got, highest)
			}
			set[call] = true
			highest = max(highest, call)
		}
	})
}

// FuzzTransit has requests of one caller arrive, whose clock says what the bytes say.
// An honest clock never makes a request older than its way was long, nor younger than
// the fastest; any other does no more harm than to its own calls.
func FuzzTransit(f *testing.F) {
	f.Add([]byte{1, 5, 0, 9, 3, 2}, int64(7), int64(0))
	f.Add([]byte{0, 0, 0xff, 1}, int64(-1<<63), int64(1<<62))
	f.Fuzz(func(t *testing.T, steps []byte, clock, timeout int64) {
		honest := clock > -1<<62 && clock < 1<<62
		var transit Transit
		now, least := time.Duration(0), time.Duration(-1)
		for ; len(steps) >= 2; steps = steps[2:] {
			now += time.Duration(steps[0]) * time.Millisecond
			way := time.Duration(steps[1]) * 20 * time.Millisecond
			if steps[0] == 0xff {
				transit.Forget()
				least = -1
			}
			age := transit.Age(time.Duration(clock)+now-way, now)
			if least < 0 || way < least {
				least = way
			}
			if honest && age != way-least {
				t.Fatalf("a request that took %v, the fastest %v, is of age %v", way, least, age)
			}
			if expired := Expired(age, time.Duration(timeout)); honest && expired != (age > MaxAge || timeout > 0 && age >= time.Duration(timeout)) {
				t.Fatalf("of age %v with %v to live: expired %t", age, time.Duration(timeout), expired)
			}
		}
	})
}
