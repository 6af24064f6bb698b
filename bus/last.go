// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// In a cluster the broker may swallow a call that is on its way to the last
// subscriber of a subject while that one leaves. So the last responder of a
// version first leaves the menu, and the queue only when its callers have gone.
// Those who know no other version are told, and ask the menu from then on.
const (
	surveyWait = 250 * time.Millisecond // for others to answer that they serve it too
	quietFor   = 250 * time.Millisecond // without a call: the callers have gone
	quietLimit = 2 * time.Second        // for that, and for it again while calls are refused
)

// surveyToken stands in the Reply of a survey's questions where those of peers
// have a token of hexadecimal digits.
const surveyToken = "menu"

// A survey finds out what nobody else serves.
type survey struct {
	names []string // by the number in the Reply of the question

	mu   sync.Mutex           // guards the fields below
	only map[string]*endpoint // by full name and version; others are not known to serve them
	done chan struct{}        // closed when only is empty
}

// last asks the fleet and returns the endpoints of which s is the last responder
// as far as it hears in time. Where it may not ask it is the last of all.
func (s *Server) last(ctx context.Context) (last []*endpoint) {
	v := &survey{only: map[string]*endpoint{}, done: make(chan struct{})}
	for name := range s.mux.served {
		v.names = append(v.names, wire.FullName(s.svc.Prefix, name))
	}
	for name, p := range s.byName {
		if slices.Contains(s.mux.told[p.Name], p.Version) { // else nobody would say that they serve it too
			v.only[name] = p
		}
	}
	s.mu.Lock()
	s.survey = v
	s.mu.Unlock()
	if s.askFleet(v) != nil {
		return nil // nobody can call over this connection
	}
	enough := time.NewTimer(surveyWait)
	defer enough.Stop()
	select {
	case <-v.done:
	case <-enough.C:
	case <-ctx.Done():
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.only {
		last = append(last, p)
	}
	return last
}

// askFleet asks who serves what s does.
func (s *Server) askFleet(v *survey) error {
	for i, name := range v.names {
		packet := wire.AppendNumber(wire.Ask{Protocol: protocolVersion, Name: name}.Append(nil), uint64(i)+1)
		if err := s.conn.Publish(wire.MenuAllSubject(name), wire.ControlSubject(s.instance, surveyToken, uint64(i)), packet); err != nil {
			return err
		}
	}
	return nil
}

// surveyed takes the answer to a question of the survey.
func (s *Server) surveyed(number uint64, m transport.Msg) {
	s.mu.Lock()
	v := s.survey
	s.mu.Unlock()
	if m.NoResponders {
		return
	}
	kind, body, _, err := wire.Next(m.Data)
	var f wire.Served
	if err == nil && kind == wire.KindServed {
		err = f.Parse(body)
	}
	if err != nil || kind != wire.KindServed || v == nil || number >= uint64(len(v.names)) {
		s.drops.add(dropMisplaced, "subject", m.Subject, "frame", kind, "error", err)
		return
	}
	if f.Instance == s.instance {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	before := len(v.only)
	for _, version := range f.Versions {
		key := Description{Name: v.names[number], Version: int(version)}.String()
		if p := v.only[key]; p != nil {
			p.shut.Store(false)
		}
		delete(v.only, key)
	}
	if before > 0 && len(v.only) == 0 {
		close(v.done)
	}
}

// callersGone returns when calls of points have stopped coming. Where they do not
// stop by themselves they are refused, so that their callers stop sending, for as
// long as nobody else is heard to serve the same: who did not answer the survey may
// only have been late or out of reach, or has come since. A one-way call cannot be
// refused, and is carried out to the end.
func (s *Server) callersGone(ctx context.Context, points []*endpoint) {
	if quiet(ctx, points, func() {}) {
		return
	}
	s.mu.Lock()
	v := s.survey
	s.mu.Unlock()
	quiet(ctx, v.refuse(), func() {
		if err := s.askFleet(v); err != nil {
			s.drops.add(dropSend, "error", err)
		}
	})
}

// refuse has the calls refused that can be and that nobody else is known to serve.
func (v *survey) refuse() (refusing []*endpoint) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.only {
		if p.Kind != OneWay {
			p.shut.Store(true)
			refusing = append(refusing, p)
		}
	}
	return refusing
}

// quiet reports whether calls of points stopped coming within quietLimit. It calls
// each at once, and again whenever a survey may have been answered.
func quiet(ctx context.Context, points []*endpoint, each func()) bool {
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	count := func() (n uint64) {
		for _, p := range points {
			n += p.calls.Load()
		}
		return n
	}
	tick := time.NewTicker(quietFor / 5)
	defer tick.Stop()
	each()
	asked := time.Now()
	for n, since := count(), time.Now(); time.Since(since) < quietFor; {
		select {
		case <-tick.C:
			if time.Since(asked) >= surveyWait {
				each()
				asked = time.Now()
			}
		case <-ctx.Done():
			return false
		}
		if now := count(); now != n {
			n, since = now, time.Now()
		}
	}
	return true
}
