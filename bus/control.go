// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// control takes what clients send to the addresses we gave them.
func (s *Server) control(m transport.Msg) {
	token, n, _ := wire.ParseControlSubject(m.Subject)
	if token == surveyToken {
		s.surveyed(n, m)
		return
	}
	s.mu.Lock()
	sess := s.tokens[token]
	s.mu.Unlock()
	if sess == nil {
		s.stranger(m)
		return
	}
	if m.NoResponders {
		if sess.unheard(s.now()) == flow.Dead {
			s.remove(sess)
		}
		return
	}
	number, err := wire.Number(m.Data)
	if err != nil {
		s.drops.add(dropMalformed, "peer", sess.client, "error", err)
		return
	}
	sess.heard.Store(true)
	sess.mu.Lock()
	sess.address(m.Reply, number)
	sess.mu.Unlock()
	for rest := m.Data; ; {
		var kind wire.Kind
		var body []byte
		kind, body, rest, err = wire.Next(rest)
		if err == nil && kind == 0 {
			return
		}
		if err == nil {
			err = sess.frame(kind, body)
		}
		if err != nil {
			s.drops.add(dropOf(err), "peer", sess.client, "frame", kind, "error", err)
			if rest == nil {
				return
			}
		}
	}
}

// stranger answers the heartbeat of a client that was given up here, so that it
// need not wait to learn what has become of its calls.
func (s *Server) stranger(m transport.Msg) {
	s.drops.add(dropStranger, "subject", m.Subject)
	kind, body, rest, err := wire.Next(m.Data)
	for err == nil && kind != 0 && kind != wire.KindBeat {
		kind, body, rest, err = wire.Next(rest)
	}
	var beat wire.Beat
	if err != nil || kind != wire.KindBeat || beat.Parse(body) != nil || checkBeat(&beat) != nil || len(beat.Calls) == 0 || m.Reply == "" {
		return
	}
	var resets []byte
	for _, bc := range beat.Calls {
		resets = wire.Reset{Call: bc.Call}.Append(resets)
	}
	if err := s.conn.Publish(m.Reply, "", resets); err != nil {
		s.drops.add(dropSend, "error", err)
	}
}

// frame takes one frame from the client.
func (s *session) frame(k wire.Kind, body []byte) error {
	switch k {
	case wire.KindCredit:
		var f wire.Credit
		if err := f.Parse(body); err != nil {
			return err
		}
		s.grant(f.Peer)
		if j := s.find(f.Call); j != nil {
			j.out.grant(f.Total)
		}
	case wire.KindCancel:
		var f wire.Cancel
		if err := f.Parse(body); err != nil {
			return err
		}
		if j := s.find(f.Call); j != nil {
			j.abandon(Canceled)
		}
		s.leave(f.Call)
	case wire.KindReset:
		var f wire.Reset
		if err := f.Parse(body); err != nil {
			return err
		}
		if j := s.find(f.Call); j != nil {
			j.abandon(Gone)
		}
		s.leave(f.Call)
	case wire.KindChunk:
		var f wire.Chunk
		if err := f.Parse(body); err != nil {
			return err
		}
		j := s.find(f.Call)
		if j == nil {
			s.srv.drops.add(dropLate, "peer", s.client, "call", f.Call)
			return nil
		}
		j.query.piece(j, &f)
	case wire.KindBeat:
		var f wire.Beat
		if err := errors.Join(f.Parse(body), checkBeat(&f)); err != nil {
			return err
		}
		s.heardBeat(&f)
	case wire.KindJoin:
		var f wire.Join
		if err := f.Parse(body); err != nil {
			return err
		}
		return s.join(&f)
	default:
		s.srv.drops.add(dropMisplaced, "peer", s.client, "frame", k)
	}
	return nil
}

// heardBeat takes the client's credits and tells it of calls that have ended
// here, which it missed.
func (s *session) heardBeat(f *wire.Beat) {
	if f.From != s.client {
		s.srv.drops.add(dropStranger, "peer", s.client, "from", f.From)
		return
	}
	s.grant(f.Peer)
	for _, bc := range f.Calls {
		if j := s.find(bc.Call); j != nil {
			if bc.Number > 0 {
				j.out.grant(bc.Number)
			}
			continue
		}
		if s.isMember(bc.Call) {
			continue
		}
		s.mu.Lock()
		if len(s.resets) < beatCalls { // else at the next heartbeat
			s.resets = append(s.resets, bc.Call)
		}
		s.mu.Unlock()
		s.srv.out.add(s)
	}
	if f.Full && len(f.Calls) > 0 {
		s.beat(true)
	}
}
