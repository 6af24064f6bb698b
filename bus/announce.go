// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"math/rand/v2"
	"time"

	"github.com/durabus/durabus/internal/wire"
)

// An announcement is a Served that nobody asked for: what this instance serves of
// one name now, and nothing of it when it leaves. As each says all, one that is
// lost or repeated does no harm to what later ones say.
const (
	announceAgain = time.Second      // the first announcement is repeated
	announceEvery = 5 * time.Second  // then the menu's name, at least
	announceMost  = 10 * time.Second // and at most, at random
)

// announce says that all names are served here, or that none is any more.
// Announcements are no promise: one that cannot be sent is made up for by asking.
func (s *Server) announce(leaving bool) {
	for name, versions := range s.mux.told {
		if leaving {
			versions = nil
		}
		s.announceName(name, versions)
	}
}

func (s *Server) announceName(name string, versions []int) {
	if s.mute.Load() {
		return
	}
	f := wire.Served{Instance: s.instance}
	for _, v := range versions {
		f.Versions = append(f.Versions, uint32(v))
	}
	_ = s.conn.Publish(wire.AnnounceSubject(wire.FullName(s.svc.Prefix, name)), "", f.Append(nil))
}

// introduce announces this instance the first time that it can: before its first
// answer to a question, so that nobody calls what was not announced. s.mu is held.
func (s *Server) introduce() {
	if !s.introduced && s.conn.Connected() {
		s.introduced = true
		s.announce(false)
	}
}

// announcing repeats what was said at the start, then says now and then that
// this instance is there, under the name that everybody serves.
func (s *Server) announcing() {
	t := time.NewTimer(announceAgain)
	defer t.Stop()
	for first := true; ; first = false {
		select {
		case <-t.C:
		case <-s.quit:
			return
		}
		if !s.stay(func() {
			if first {
				s.announce(false)
				return
			}
			s.announceName(MenuDescription.Name, s.mux.told[MenuDescription.Name])
		}) {
			return
		}
		t.Reset(announceEvery + rand.N(announceMost-announceEvery))
	}
}

// stay has say announce this instance, unless it leaves, and reports whether it
// did. The lock keeps the word that it leaves the last one.
func (s *Server) stay(say func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	say()
	return true
}
