// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/micro"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// contentType is the header that tells a plain request from a packet.
const contentTypeHeader = "Content-Type"

// instanceRequest takes a request to this instance alone.
func (s *Server) instanceRequest(m transport.Msg) {
	_, name, version, _ := wire.ParseInstanceSubject(m.Subject)
	d := Description{Name: name, Version: version}
	if p := s.pointOf(name, version, m); p != nil {
		s.request(p, m)
		return
	}
	code := NoResponder
	for _, p := range s.points {
		if wire.FullName(s.svc.Prefix, p.Name) == name {
			code = Unserved
		}
	}
	s.refuse(m.Reply, 0, &Error{Code: code, RPC: d, Message: "not served by this instance"})
}

// request takes a request for p. It runs on the subscription's goroutine and
// does no more than decide whether there is a handler to start.
func (s *Server) request(p *endpoint, m transport.Msg) {
	p.calls.Add(1)
	if h := m.Header[contentTypeHeader]; len(h) > 0 {
		s.plainRequest(p, m, h[0])
		return
	}
	o, err := parseOpen(m.Data)
	if err != nil {
		s.drops.add(dropMalformed, "subject", m.Subject, "error", err)
		s.refuse(m.Reply, 0, &Error{Code: Undecodable, RPC: p.Description, Message: "not a request: " + err.Error() +
			"; to send JSON, set the header " + contentTypeHeader + ": " + ContentTypeJSON})
		return
	}
	j := s.newJob(p, o, m)
	if err := s.admit(j, o); err != nil {
		j.reject(err)
		return
	}
	if o.Total > 0 {
		j.awaitQuery(o.Total)
		return
	}
	s.run(j)
}

// parseOpen returns the request in a packet, which holds nothing else.
func parseOpen(data []byte) (*wire.Open, error) {
	if _, err := wire.Number(data); err != nil {
		return nil, err
	}
	kind, body, rest, err := wire.Next(data)
	if err != nil {
		return nil, err
	}
	if kind != wire.KindOpen {
		return nil, fmt.Errorf("it begins with a frame of kind %v", kind)
	}
	o := new(wire.Open)
	if err := o.Parse(body); err != nil {
		return nil, err
	}
	if kind, _, _, err = wire.Next(rest); err != nil || kind != 0 {
		return nil, fmt.Errorf("more follows the request")
	}
	if o.Client == "" || o.Call == 0 {
		return nil, fmt.Errorf("it names no client or no call")
	}
	return o, nil
}

// admit decides whether j may run. What it refuses has not run.
func (s *Server) admit(j *job, o *wire.Open) error {
	bad := func(code Code, format string, args ...any) error {
		return &Error{Code: code, RPC: j.point.Description, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case o.Protocol != protocolVersion:
		return bad(Invalid, "the caller speaks protocol version %d, this responder %d", o.Protocol, protocolVersion)
	case Kind(o.Kind) != j.point.Kind:
		return bad(Invalid, "called as %v, served as %v", Kind(o.Kind), j.point.Kind)
	case o.Total > MaxValue:
		return bad(TooLarge, "a query of %d bytes, at most %d are allowed", o.Total, MaxValue)
	case j.reply == "" && j.point.Kind != OneWay:
		s.drops.add(dropReply, "rpc", j.point.Description)
		return bad(Invalid, "there is nowhere to send the answer")
	}
	if err := checkMetadata(j.point.Description, o.Metadata, false); err != nil {
		return err
	}
	sess, err := s.sessionOf(o)
	if err != nil {
		return err
	}
	j.sess = sess
	switch v, age := sess.received(o, j, s.now()); {
	case v == tooOld:
		return bad(Expired, "too many later calls have come before it to tell it from a repeated one")
	case v == repeated:
		s.drops.add(dropRepeatedRq, "rpc", j.point.Description, "call", j.callID())
		j.reply = "" // the first of them is answered
		return bad(Invalid, "repeated")
	case flow.Expired(age, time.Duration(o.TimeoutUS)*time.Microsecond):
		return bad(Expired, "the request was %v on its way", age)
	}
	return s.enter(j)
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
	case s.running >= s.svc.Limit:
		return &Error{Code: Busy, RPC: j.point.Description, Message: fmt.Sprintf("%d calls are in progress here, which is the limit", s.running)}
	case j.point.Kind.Streams() && s.open >= s.svc.Streams:
		return &Error{Code: Busy, RPC: j.point.Description, Message: fmt.Sprintf("%d streams are open here, which is the limit", s.open)}
	case j.point.Kind.Streams() && s.leaving:
		return &Error{Code: Draining, RPC: j.point.Description, Message: "the responder is leaving"}
	}
	s.running++
	if j.point.Kind.Streams() {
		s.open++
	}
	j.entered = true
	s.calls.Add(1)
	return nil
}

// answered notes that j's handler has given its verdict.
func (s *Server) answered(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

// unenter undoes enter for a call that never starts.
func (s *Server) unenter(j *job) {
	s.answered(j)
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

// run starts j's handler on a goroutine that waits for one, or on a new one.
func (s *Server) run(j *job) {
	select {
	case s.jobs <- j:
	default:
		s.loops.Go(func() { s.work(j) })
	}
}

// work carries out jobs until none has come for a while or the server closes.
func (s *Server) work(j *job) {
	idle := time.NewTimer(idleWorker)
	defer idle.Stop()
	for {
		j.run()
		idle.Reset(idleWorker)
		select {
		case j = <-s.jobs:
		case <-idle.C:
			return
		case <-s.quit:
			return
		}
	}
}

const idleWorker = time.Second

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
	j := &job{srv: s, point: p, reply: m.Reply, plain: true, started: s.now()}
	j.call = Call{Description: p.Description, Query: m.Data, ContentType: contentType}
	j.ctx, j.cancel = context.WithCancelCause(s.ctx)
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
	s.run(j)
}
