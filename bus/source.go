// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"sync"
)

// A Source connects the source of a stream's updates with the engine that sends
// them: the source says where it stands, and the engine tells the reader, so
// that an interrupted stream can be taken up there. Iterators push, each update
// passes through all conversions before the source goes on, and so both agree
// whatever stands between them. It is plumbing for the kinds, as in kind.go; its
// methods may be called on nil, which is the Source outside a server.
//
// Positions count a source's updates from 1. Where the updates reach the engine
// by another goroutine, or come of several sources, nobody can say where the
// stream stands: the Source notices, and the stream cannot be taken up.
type Source struct {
	epoch string // asked for: whose updates
	after uint64 // and behind which
	soon  func() // has the position that is owed sent

	snapshots *snapshots // of a caller that is to join a feed: only the state is wanted
	least     uint64     // and none of before this position
	pumps     bool       // of a feed: only the updates are wanted

	mu      sync.Mutex // guards the fields below
	known   string     // epoch of the source; "" if there is none
	unclear bool       // it cannot be said where the stream stands
	looping bool       // the engine loops over the updates
	holding bool       // the engine has an update and has not come back for more
	within  bool       // the source waits for its update to be taken
	partial bool       // something of an update was taken that is not over
	owed    bool       // updates were sent whose position was not known
	at      uint64     // the last update that is over
	told    uint64     // the position told last
}

type sourceKey struct{}

// SourceOf returns what the source of updates in the handler of ctx talks to.
func SourceOf(ctx context.Context) *Source {
	s, _ := ctx.Value(sourceKey{}).(*Source)
	return s
}

// withSource returns a context for a handler whose source talks to s, or to
// nobody.
func withSource(ctx context.Context, s *Source) context.Context {
	return context.WithValue(ctx, sourceKey{}, s)
}

// Asked returns behind which update of which source the caller wants to go on;
// epoch is "" if it wants all.
func (s *Source) Asked() (epoch string, position uint64) {
	if s == nil {
		return "", 0
	}
	return s.epoch, s.after
}

// WantsState reports whether the first value will be sent. Who takes up a stream
// has one.
func (s *Source) WantsState() bool { return s == nil || s.epoch == "" && !s.pumps }

// Lends reports whether the engine reads the first value where it is, and asks for
// updates when it is done with it. Without an engine the value is its caller's,
// who may change it; one that several joiners of a feed are sent outlives that
// moment.
func (s *Source) Lends() bool { return s != nil && s.snapshots == nil }

// Begin says that the updates are those of epoch, a random id that no other
// source has, behind position.
func (s *Source) Begin(epoch string, position uint64) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known != "" || s.looping {
		s.unclear = true // of several
		return
	}
	s.known, s.at, s.told = epoch, position, position
}

// Enter says that the update behind the last one is about to be yielded.
func (s *Source) Enter() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.looping || s.holding || s.within {
		s.unclear = true
	}
	s.within = true
}

// Leave says that the update was taken with all that conversions made of it.
func (s *Source) Leave() {
	if s == nil {
		return
	}
	s.mu.Lock()
	if s.holding || !s.within {
		s.unclear = true
	}
	s.at++
	s.within, s.partial = false, false
	owed := s.owed && !s.unclear
	s.mu.Unlock()
	if owed {
		s.soon()
	}
}

// begin returns what the stream's first frame says, and reports whether the
// stream is what was asked for. The loop begins after it.
func (s *Source) begin() (epoch string, position uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looping = true
	if s.unclear {
		return "", 0, s.epoch == ""
	}
	return s.known, s.at, s.epoch == "" || s.known == s.epoch && s.at == s.after
}

// place returns where a source stands whose updates are not looped over. It
// reports false where there is none, or not one.
func (s *Source) place() (epoch string, position uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known, s.at, s.known != "" && !s.unclear
}

// standing returns the position that is over, and whether nothing was taken
// behind it. It reports false in clear where the position is not known.
func (s *Source) standing() (position uint64, whole, clear bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at, !s.partial, s.known != "" && !s.unclear
}

// took notes that the engine has something of an update, and returns the position
// behind which that comes. It reports false where the position is not known.
func (s *Source) took() (position uint64, clear bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == "" {
		return 0, false
	}
	if !s.within {
		s.unclear = true
	}
	s.holding, s.partial = true, true
	return s.at, !s.unclear
}

// done notes that the engine comes back for more; owes is that what it took left
// in frames that have no positions.
func (s *Source) done(owes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = false
	s.owed = s.owed || owes && s.known != ""
}

// stamp returns the positions before and after all that was sent since the last
// stamp. Within an update there are none: both are 0 and a stamp is owed.
func (s *Source) stamp() (before, last uint64) {
	if s == nil {
		return 0, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.known == "" || s.unclear:
		s.owed = false
		return 0, 0
	case s.partial:
		s.owed = true
		return 0, 0
	}
	before, s.told, s.owed = s.told, s.at, false
	return before, s.told
}

// owe notes that an update leaves in frames that have no positions.
func (s *Source) owe() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = s.known != ""
}

// owes reports whether a stamp is owed and possible.
func (s *Source) owes() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owed && !s.partial && !s.unclear
}
