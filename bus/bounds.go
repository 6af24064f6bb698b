// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/durabus/durabus/internal/wire"
)

// What peers may have us remember of them. Honest ones come nowhere near.
const (
	maxID        = 128         // bytes of the id of a client or an instance
	maxInstances = 4096        // that a client knows of: as peers, or as who serves one name
	maxVersions  = 256         // of one name, served by one instance
	maxLeft      = 4096        // calls of a client beyond which those that it left are cancelled once, and forgotten
	evictAfter   = time.Second // without a call, after which a session may be forgotten for the sake of another
)

var errNoID = errors.New("it does not say whose it is")

// checkID refuses an id that is not worth remembering, or that is no single token:
// in a subject it would name another than its owner, or end NATS's command.
func checkID(id string) error {
	switch {
	case id == "":
		return errNoID
	case len(id) > maxID:
		return fmt.Errorf("an id of %d bytes, at most %d are allowed", len(id), maxID)
	case strings.ContainsFunc(id, noToken):
		return fmt.Errorf("the id %q is no token of a subject", id)
	}
	return nil
}

// noToken reports whether r is none of a token's, whatever the broker takes.
func noToken(r rune) bool { return r <= ' ' || r == 0x7f || r == '.' || r == '*' || r == '>' }

// checkBeat refuses a heartbeat that is longer than one is sent.
func checkBeat(f *wire.Beat) error {
	if len(f.Calls) > beatCalls {
		return fmt.Errorf("a heartbeat of %d calls, at most %d are allowed", len(f.Calls), beatCalls)
	}
	return checkID(f.From)
}

// checkServed refuses what no responder says of itself.
func checkServed(f *wire.Served) error {
	if len(f.Versions) > maxVersions {
		return fmt.Errorf("%d versions of one name, at most %d are allowed", len(f.Versions), maxVersions)
	}
	return checkID(f.Instance)
}

// makeRoom forgets one session that has been without a call for a while, so that
// those who come once and go do not keep others out. It looks at a few, as it is
// done for each request of a flood. s.mu is held.
func (s *Server) makeRoom() {
	now, looked := s.now(), 0
	for _, sess := range s.sessions {
		if sess.evicted(now) {
			s.forget(sess, now)
			return
		}
		if looked++; looked == 64 {
			return
		}
	}
}

// evicted ends s if it has been without a call for a while. Who has found it just
// before sees that, and asks for another.
func (s *session) evicted(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.jobs)+len(s.feeds) > 0 || s.running > 0 || now-s.idle < evictAfter {
		return false
	}
	s.gone = true
	return true
}
