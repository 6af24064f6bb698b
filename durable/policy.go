// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/durabus/durabus/bus"
)

// A Policy says when to try again. The zero Policy tries for ever.
//
// Four kinds of error have a wait of their own. One that knows when a retry may
// succeed ([bus.Error.Again]: the connection is back) ends the wait then, within
// Spread. [bus.Draining] tells that others serve: if it is the first failure,
// the next attempt follows without a wait. Of two attempts in a row without an
// answer ([bus.NoAnswer]) the first is not counted, and the second follows within
// Spread: others may answer. One that a retry is unlikely to mend (Rejected;
// Invalid, Unauthorized, Denied, TooLarge, Undecodable and Inconvertible of an
// attempt) has the longest wait at once.
type Policy struct {
	// Wait is how long to wait after failure n. It counts from 1: the loss of the
	// stream and the attempts that failed since; and, so that a stream which
	// comes and goes is not opened faster and faster, the losses before it for as
	// long as no stream has lasted a second. After an error that a retry is
	// unlikely to mend n is at least 8. Nil means a random time up to 100 ms,
	// which doubles with n, up to 10 s.
	Wait func(n int) time.Duration

	// Spread is the time over which streams that wait for the same thing try again
	// once it has happened, each at random, so that not all of them come at once.
	// It doubles as Wait does with streams that come and go, and never makes a
	// wait longer. Default 10 ms.
	Spread time.Duration

	// Resume takes an interrupted stream up again where nothing of it was lost, or
	// where the responder's source keeps what was (see staterpc.Publisher.Keep), so
	// that Lost may be followed by Resumed. Without it every interruption is the
	// end of the stream, and its place is taken by a fresh one.
	Resume bool

	// Final reports that an error will not go away, so that the events end after
	// the one that holds it. It is asked about the Err of Lost, FailedToConnect
	// and Rejected. Nil means that no error is final.
	Final func(error) bool
}

const (
	firstWait     = 100 * time.Millisecond
	longestWait   = 10 * time.Second
	longestAt     = 8 // the least n whose default wait is the longest
	defaultSpread = 10 * time.Millisecond
)

func (p Policy) wait(n int) time.Duration {
	if p.Wait != nil {
		return p.Wait(n)
	}
	return rand.N(min(doubled(firstWait, n-1), longestWait))
}

func (p Policy) spread(doublings int) time.Duration {
	s := p.Spread
	if s <= 0 {
		s = defaultSpread
	}
	return rand.N(doubled(s, doublings))
}

// resuming returns the context to open streams with; anew, if they take the place
// of one that was open.
func (p Policy) resuming(ctx context.Context, anew bool) context.Context {
	return bus.WithResume(ctx, bus.Resume{Wait: p.wait, Admit: openings.enter, Anew: anew})
}

func (p Policy) final(err error) bool { return p.Final != nil && p.Final(err) }

// doubled doubles d, but no more often than takes it beyond the longest wait.
func doubled(d time.Duration, times int) time.Duration {
	for ; times > 0 && d < longestWait; times-- {
		d *= 2
	}
	return d
}
