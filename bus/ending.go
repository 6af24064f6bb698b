// SPDX-License-Identifier: Apache-2.0

package bus

import "time"

// How an outStream ends, once its handler has.

// end has the stream's end sent behind all that came before it.
func (s *outStream) end(err error) {
	s.mu.Lock()
	s.ending = &streamEnd{err}
	s.mu.Unlock()
	s.soon()
}

// left waits until all has been published, so that the call is known here as
// long as the caller may ask about it. A caller that gives no credit for the last
// updates does not get them.
func (s *outStream) left() {
	stall, stalled := s.job.srv.svc.MaxStall, (<-chan time.Time)(nil)
	for !s.allLeft() && !s.job.silent.Load() {
		if stalled == nil {
			s.waiter.expect(stall)
			defer s.waiter.stalled.Stop()
			stalled = s.waiter.stalled.C
		}
		select {
		case <-s.waiter.wake:
		case <-stalled:
			if !s.job.srv.conn.Connected() { // it is not the caller's fault
				s.waiter.expect(stall)
				continue
			}
			s.giveUp(s.job.srv.mux.said(s.stalledFor(stall), s.job.point.Description, s.job.callID()))
		case <-s.job.srv.ctx.Done():
			if !s.job.srv.conn.Connected() {
				return
			}
			s.flush()
			return
		}
	}
}

// giveUp ends the stream without what waits for credit.
func (s *outStream) giveUp(err error) {
	s.mu.Lock()
	if s.gathered() > 0 {
		s.batch.Reset()
		s.ending = &streamEnd{err}
	}
	s.mu.Unlock()
	s.soon()
}

// allLeft reports whether nothing is left here, or has its goroutine woken when
// that changes.
func (s *outStream) allLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited()
	return s.gathered() == 0 && len(s.sealed) == 0 && s.unsent == nil && s.ending == nil
}
