// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/micro"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// contentType is the header that tells a plain request from a packet.
const contentTypeHeader = "Content-Type"

// instanceRequest takes a message with requests to this instance alone.
func (in *intake) instanceRequest(m transport.Msg) {
	_, name, version, _ := wire.ParseInstanceSubject(m.Subject)
	in.named(name, version, m)
}

// kindOf is the kind that a request asks for; 0, which nobody serves, if there is
// none of its number.
func kindOf(o *wire.Open) Kind {
	if o.Kind > uint32(State) {
		return 0
	}
	return Kind(o.Kind)
}

// admit decides whether j, whose message has that number, may run. What it
// refuses has not run.
func (s *Server) admit(j *job, o *wire.Open, number uint64) error {
	bad := func(code Code, format string, args ...any) error {
		return &Error{Code: code, RPC: j.point.Description, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case o.Protocol != protocolVersion:
		return bad(Invalid, "the caller speaks protocol version %d, this responder %d", o.Protocol, protocolVersion)
	case kindOf(o) != j.point.Kind:
		return bad(Invalid, "called as %v, served as %v", kindOf(o), j.point.Kind)
	case o.Total > MaxValue:
		return bad(TooLarge, "a query of %d bytes, at most %d are allowed", o.Total, MaxValue)
	case j.reply == "" && j.point.Kind != OneWay:
		s.drops.add(dropReply, "rpc", j.point.Description)
		return bad(Invalid, "there is nowhere to send the answer")
	}
	if err := checkMetadata(j.point.Description, o.Metadata, false); err != nil {
		return err
	}
	v, age, err := s.received(j, o, number)
	switch {
	case err != nil:
		return err
	case v == tooOld:
		return bad(Expired, "too many later calls have come before it to tell it from a repeated one")
	case v == repeated:
		s.drops.add(dropRepeatedRq, "rpc", j.point.Description, "peer", j.peer(), "call", j.callID())
		j.reply = "" // the first of them is answered
		return bad(Invalid, "repeated")
	case flow.Expired(age, microseconds(o.TimeoutUS)):
		return bad(Expired, "the request was %v on its way", age)
	}
	return s.enter(j)
}

// received finds the session of j, and notes its request there.
func (s *Server) received(j *job, o *wire.Open, number uint64) (v requestVerdict, age time.Duration, err error) {
	for {
		if j.sess == nil {
			if j.sess, err = s.sessionOf(o); err != nil {
				return v, 0, err
			}
		}
		if v, age = j.sess.received(o, j, number); v != forgotten {
			return v, age, nil
		}
		s.mu.Lock()
		if s.sessions[o.Client] == j.sess { // who has ended it is about to forget it
			s.forget(j.sess, s.now())
		}
		s.mu.Unlock()
		j.sess = nil
	}
}

// enter counts j as running, if there is room.
func (s *Server) enter(j *job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return &Error{Code: Draining, RPC: j.point.Description, Message: "the responder is leaving"}
	case j.point.shut.Load():
		return &Error{Code: NoResponder, RPC: j.point.Description, Message: "the last responder of this version is leaving"}
	case s.running.Load() >= int64(s.svc.Limit):
		return &Error{Code: Busy, RPC: j.point.Description, Message: fmt.Sprintf("%d calls are in progress here, which is the limit", s.svc.Limit)}
	case j.point.Kind.Streams() && s.open >= s.svc.Streams:
		return &Error{Code: Busy, RPC: j.point.Description, Message: fmt.Sprintf("%d streams are open here, which is the limit", s.open)}
	case j.point.Kind.Streams() && s.leaving:
		return &Error{Code: Draining, RPC: j.point.Description, Message: "the responder is leaving"}
	}
	s.running.Add(1)
	j.counted = true
	if j.point.Kind.Streams() {
		s.open++
	}
	s.calls.Add(1)
	return nil
}

// unenter undoes enter for a call that never starts.
func (s *Server) unenter(j *job) {
	j.answered()
	s.left(j)
}

// left notes that j is over.
func (s *Server) left(j *job) {
	if j.point.Kind.Streams() {
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	}
	s.calls.Done()
}

// run starts the handlers of jobs, which are of one session or, plain, of none.
func (s *Server) run(sess *session, now time.Duration, jobs ...*job) {
	if sess != nil {
		sess.start(now, jobs...)
	}
	if s.workers.run(jobs...) {
		s.mu.Lock()
		s.startTick()
		s.mu.Unlock()
	}
}

// refuse answers a request that no job stands for.
func (s *Server) refuse(reply string, call uint64, err error) {
	if reply == "" {
		s.drops.add(dropReply, "error", err)
		return
	}
	e := s.mux.said(err, Description{}, "").(*Error)
	frame := wire.End{Call: call, Error: toWire(e)}
	s.sendError(reply, frame.Append(nil), e)
}

// sendError publishes a packet that refuses a call, with the services
// protocol's headers.
func (s *Server) sendError(reply string, packet []byte, e *Error) {
	header := map[string][]string{
		micro.ErrorHeader:     {string(e.Code) + ": " + oneLine(e.Message)},
		micro.ErrorCodeHeader: {micro.HTTPLike(string(e.Code))},
	}
	if err := s.conn.PublishMsg(transport.Msg{Subject: reply, Header: header, Data: packet}); err != nil {
		s.drops.add(dropSend, "error", err)
	}
}

// oneLine makes text fit a header.
func oneLine(text string) string {
	b := []byte(text[:min(len(text), 256)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = ' '
		}
	}
	return string(b)
}

// discovery answers the services protocol.
func (s *Server) discovery(m transport.Msg) {
	body, err := s.micro.Answer(m.Subject)
	if err != nil || m.Reply == "" {
		s.drops.add(dropReply, "subject", m.Subject, "error", err)
		return
	}
	if err := s.conn.Publish(m.Reply, "", body); err != nil {
		s.drops.add(dropSend, "error", err)
	}
}

// asked answers which versions of name are served here; none once the server is
// on its way out.
func (s *Server) asked(name string, m transport.Msg) {
	kind, body, _, err := wire.Next(m.Data)
	var ask wire.Ask
	if err == nil && kind == wire.KindAsk {
		err = ask.Parse(body)
	}
	if err != nil || kind != wire.KindAsk || m.Reply == "" {
		s.drops.add(dropMalformed, "subject", m.Subject, "error", err)
		return
	}
	answer := wire.Served{Instance: s.instance}
	s.mu.Lock()
	stays := !s.draining
	if stays {
		s.introduce()
	}
	s.mu.Unlock()
	for _, v := range s.mux.told[name] {
		if stays {
			answer.Versions = append(answer.Versions, uint32(v))
		}
	}
	if err := s.conn.Publish(m.Reply, "", answer.Append(nil)); err != nil {
		s.drops.add(dropSend, "error", err)
	}
}

// plainRequest answers a request of a client that knows nothing of packets, such
// as `nats req`: its body is the query, and the body of the answer is the answer.
func (s *Server) plainRequest(p *endpoint, m transport.Msg, contentType string) {
	j := newRecord(p.Kind)
	j.srv, j.point, j.plain, j.ctx.job = s, p, true, j
	j.reply, j.started = m.Reply, s.now()
	j.call = Call{Description: p.Description, Query: m.Data, ContentType: contentType}
	var err error
	switch {
	case p.Kind.Streams():
		err = &Error{Code: Invalid, RPC: p.Description, Message: fmt.Sprintf("a %v RPC needs a durabus client, such as `durabus watch`", p.Kind)}
	case m.Reply == "" && p.Kind != OneWay:
		err = &Error{Code: Invalid, RPC: p.Description, Message: "there is nowhere to send the answer"}
	default:
		err = s.enter(j)
	}
	if err != nil {
		j.reject(err)
		return
	}
	s.run(nil, j.started, j)
}
