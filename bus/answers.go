// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"time"

	"github.com/durabus/durabus/internal/wire"
)

// start counts jobs whose handlers are about to run. Their caller hears of those
// that are not answered soon.
func (s *session) start(now time.Duration, jobs ...*job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running += len(jobs)
	for _, j := range jobs {
		if j.point.Kind != OneWay && !j.accepted.Load() {
			j.due = now + acceptAfter
			s.waits.add(j)
		}
	}
	if s.timing || s.waits.first == nil {
		return
	}
	s.timing = true
	if s.accepter == nil {
		s.accepter = time.AfterFunc(acceptAfter, s.acceptLate)
	} else {
		s.accepter.Reset(acceptAfter)
	}
}

// acceptLate tells the caller of jobs that have run for a while that they are
// here.
func (s *session) acceptLate() {
	type late struct {
		*job
		reply string
	}
	var all []late
	s.mu.Lock()
	now := s.srv.now()
	for j := s.waits.first; j != nil && j.due <= now; j = s.waits.first {
		s.waits.remove(j)
		all = append(all, late{j, j.reply}) // while its handler has not returned
	}
	s.timing = s.waits.first != nil
	if s.timing {
		s.accepter.Reset(s.waits.first.due - now)
	}
	s.mu.Unlock()
	for _, l := range all {
		l.acceptLate(l.reply)
	}
}

// returns notes that the handler of j has returned.
func (s *session) returns(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned(j)
}

// returned is returns with s.mu held.
func (s *session) returned(j *job) {
	if j.returned {
		return
	}
	j.returned = true
	s.running--
	s.waits.remove(j)
}

// answer sends the answer of a short call, with others that are ready at the
// same time, and at once where no other handler runs. They go to the address of
// the newest of their requests. The call is over then, and its place free: before
// the caller knows, who may call again at once, but not while the answer waits for
// others to leave.
func (s *session) answer(j *job, r Reply, now time.Duration) {
	first := wire.First{Call: j.id, Seq: 1, Metadata: r.Metadata, Data: r.First}
	size := len(r.First) + metadataRoom(r.Metadata)
	s.mu.Lock()
	for len(s.frames) > 0 && len(s.frames)+size > batchSize { // and others who have waited may be faster
		s.mu.Unlock()
		s.flush()
		s.mu.Lock()
	}
	if !j.accepted.Swap(true) {
		accept := wire.Accept{Call: j.id, Protocol: protocolVersion, Minor: protocolMinor, Features: features, Instance: s.srv.instance}
		s.frames = accept.Append(s.frames)
	}
	s.frames = first.Append(s.frames)
	s.reply = j.reply
	j.answered()
	s.over(j, now)
	alone := s.running == 0
	s.mu.Unlock()
	if alone {
		s.flush()
	} else {
		s.srv.out.add(s)
	}
}

// reuse keeps the buffer of answers that were published for others.
func (s *session) reuse(answers []byte) {
	if cap(answers) > 2*batchSize {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = answers[:0]
}

// A jobList is a list of jobs, from which each can be taken out.
type jobList struct{ first, last *job }

func (l *jobList) add(j *job) {
	j.prev = l.last
	if l.last == nil {
		l.first = j
	} else {
		l.last.next = j
	}
	l.last = j
}

// remove takes j out, if it is there.
func (l *jobList) remove(j *job) {
	if j.prev == nil && l.first != j {
		return
	}
	if j.prev == nil {
		l.first = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		l.last = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
}
