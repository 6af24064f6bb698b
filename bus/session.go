// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/micro"
	"github.com/durabus/durabus/internal/wire"
)

// A session is one client as a server knows it: where to write to, how much may
// be on the way there, whether it lives, and which calls it has here. Answers
// gather in it and leave together.
type session struct {
	srv    *Server
	client string
	token  string // known to the client alone: part of the address we give it
	number uint64 // of this record of the client
	queued atomic.Bool
	heard  atomic.Bool

	sendMu sync.Mutex // held while publishing what has gathered, in order

	mu       sync.Mutex // guards the fields below
	ret      string     // the client's newest address
	retN     uint64     // the number it came with
	m        uint64     // number of the last message that carried our address
	jobs     map[uint64]*job
	feeds    map[uint64]*feed // memberships, by their calls
	joined   bool             // there was a job that the client knows of
	credit   flow.Allowance
	blocked  []*outStream // who waits for peer credit
	transit  flow.Transit
	seen     map[seenBy]*flow.Seen
	lastBy   seenBy // that of the newest request
	lastSeen *flow.Seen
	live     flow.Liveness
	idle     time.Duration // when there was a call last
	beats    int
	gone     bool

	running  int         // handlers that have not returned
	waits    jobList     // jobs that are neither answered nor accepted
	accepter *time.Timer // of the first of them; it may fire for nothing
	timing   bool        // accepter will fire

	frames  []byte // answers
	spare   []byte // what they were written to before
	reply   string // where they go: the address of the newest of their requests
	resets  []uint64
	news    []byte // other frames, for the newest address
	beatDue bool
	full    bool
}

// Each subscription has an order of its own.
type seenBy struct {
	point    *micro.Counters // of its endpoint
	instance bool
}

// sessionOf returns the record of the client that sent o.
func (s *Server) sessionOf(o *wire.Open) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[o.Client]; sess != nil {
		return sess, nil
	}
	if len(s.sessions) >= maxSessions {
		s.makeRoom()
	}
	if len(s.sessions) >= maxSessions {
		return nil, &Error{Code: Busy, Message: "too many callers are known here"}
	}
	sess := &session{
		srv: s, client: strings.Clone(o.Client), token: newID(), number: newNumber(), jobs: map[uint64]*job{},
		seen: map[seenBy]*flow.Seen{}, live: flow.NewLiveness(s.now()), idle: s.now(),
		transit: s.clocks.of(o.Client, s.now()),
	}
	s.sessions[sess.client] = sess
	s.tokens[sess.token] = sess
	s.startTick()
	return sess, nil
}

// A requestVerdict says what a request is to its session.
type requestVerdict uint8

const (
	firstOfCall requestVerdict = iota
	repeated
	tooOld    // to be told from a repeated one: the caller has to ask anew
	forgotten // the session was meanwhile: there is to be another
)

// received notes a request: whether it is the first of its call, and how long it
// was on its way.
func (s *session) received(o *wire.Open, j *job, number uint64) (v requestVerdict, age time.Duration) {
	s.heard.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return forgotten, 0
	}
	s.idle = j.started
	s.address(j.reply, number)
	s.credit.Grant(max(o.PeerCredit, s.credit.Limit()))
	by := seenBy{j.point.counters, j.direct}
	if s.lastSeen == nil || s.lastBy != by {
		if s.seen[by] == nil {
			s.seen[by] = new(flow.Seen)
		}
		s.lastSeen, s.lastBy = s.seen[by], by
	}
	seen := s.lastSeen
	switch {
	case seen.Old(o.Call):
		return tooOld, 0
	case !seen.First(o.Call):
		return repeated, 0
	}
	if o.SentUS == 0 { // our idea of its clock was wrong
		s.transit.Forget()
		return firstOfCall, 0
	}
	return firstOfCall, s.transit.Age(time.Duration(o.SentUS)*time.Microsecond, j.started)
}

// address takes the client's newest. s.mu is held.
func (s *session) address(reply string, number uint64) {
	if reply != "" && number >= s.retN {
		s.ret, s.retN = reply, number
	}
}

// add joins a call to the session, which ends with the client. A call that was
// over first is not joined. One whose id this is already ends: its caller broke the
// rule that ids are used once, and nobody would find that call any more.
func (s *session) add(j *job) {
	s.mu.Lock()
	if j.dropped {
		s.mu.Unlock()
		return
	}
	before := s.jobs[j.id]
	s.jobs[j.id], s.joined = j, true
	gone := s.gone
	s.mu.Unlock()
	if before != nil && before != j {
		s.srv.drops.add(dropRepeatedRq, "rpc", j.point.Description, "peer", s.client, "call", j.callID(), "before", before.point.Description)
		before.abandon(Gone)
	}
	if gone {
		j.abandon(Gone)
	}
}

// drop forgets a job that is over.
func (s *session) drop(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.dropped {
		s.over(j, s.srv.now())
	}
}

// over is drop with s.mu held.
func (s *session) over(j *job, now time.Duration) {
	s.returned(j)
	j.dropped = true
	if len(s.blocked) > 0 { // or they would be kept until there is credit
		s.blocked = slices.DeleteFunc(s.blocked, func(o *outStream) bool { return o.job == j })
	}
	if len(s.jobs) > 0 && s.jobs[j.id] == j {
		delete(s.jobs, j.id)
		s.idle = now
	}
}

func (s *session) find(call uint64) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[call]
}

func (s *session) all() []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*job, 0, len(s.jobs))
	for _, j := range s.jobs {
		all = append(all, j)
	}
	return all
}

// clock returns what is known of the client's.
func (s *session) clock() flow.Transit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transit
}

// end returns the calls of a client that is gone.
func (s *session) end() []*job {
	jobs := s.all()
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	return jobs
}

// used is how much peer credit has been used.
func (s *session) used() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credit.Used()
}

// pay takes peer credit for a frame of o, or has o woken when there is more.
func (s *session) pay(cost uint64, o *outStream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credit.Use(cost) {
		return true
	}
	if !o.job.dropped && !slices.Contains(s.blocked, o) { // it may have been woken by credit of its own
		s.blocked = append(s.blocked, o)
	}
	return false
}

// grant takes peer credit.
func (s *session) grant(total uint64) {
	if total == 0 {
		return
	}
	s.mu.Lock()
	ok := s.credit.Grant(total)
	woken := s.blocked
	s.blocked = nil
	s.mu.Unlock()
	if !ok {
		s.srv.drops.add(dropCredit, "peer", s.client)
	}
	for _, o := range woken {
		o.soon()
		o.wakeUp()
	}
}

// publish sends a packet to the client's newest address.
func (s *session) publish(packet []byte) error {
	s.mu.Lock()
	ret := s.ret
	s.mu.Unlock()
	return s.srv.conn.Publish(ret, "", packet)
}

// publishFirst sends a packet that brings our address, to the address of the
// request or, if there is none, the client's newest.
func (s *session) publishFirst(reply string, packet []byte) error {
	s.mu.Lock()
	s.m++
	m := s.m
	if reply == "" {
		reply = s.ret
	}
	s.mu.Unlock()
	return s.srv.conn.Publish(reply, wire.ControlSubject(s.srv.instance, s.token, m), wire.AppendNumber(packet, m))
}

// ticked says what the tick calls for. A session without calls is kept for a
// while, quietly.
func (s *session) ticked(now time.Duration) flow.Pulse {
	for _, j := range s.all() {
		j.query.ticked(j, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard.Swap(false) {
		s.live.Heard(now)
	}
	if len(s.jobs)+len(s.feeds) > 0 {
		s.idle = now
	}
	if s.running == 0 {
		s.spare = nil
	}
	switch idle := now - s.idle; {
	case idle >= forgetClient:
		return flow.Dead
	case idle > 0 && (!s.joined || idle > flow.DeadAfter):
		s.live = flow.NewLiveness(now)
		return flow.Quiet
	}
	return s.live.Tick(now)
}

// forgetClient is how long a client without calls is remembered: less than the
// client remembers us.
const forgetClient = 10 * time.Second

func (s *session) reconnected(now time.Duration) {
	s.mu.Lock()
	s.live.Reconnected(now)
	s.mu.Unlock()
	s.beat(true)
	for _, j := range s.all() {
		j.out.measure()
		j.out.soon()
		j.out.wakeUp()
	}
}

// unheard takes the broker's word that nobody received what brought our address.
func (s *session) unheard(now time.Duration) flow.Pulse {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live.Unheard(now)
}

// beat has a heartbeat sent.
func (s *session) beat(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beatDue = true
	s.full = s.full || full
	s.srv.out.add(s)
}

func (s *session) waiting() *atomic.Bool { return &s.queued }

// flush sends what has gathered: answers to where they were asked for, the rest
// to the newest address.
func (s *session) flush() {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	s.mu.Lock()
	answers, reply := s.frames, s.reply
	if len(answers) > 0 {
		s.frames, s.spare = s.spare, nil
	}
	rest := s.news
	s.news = nil
	for _, id := range s.resets {
		rest = wire.Reset{Call: id}.Append(rest)
	}
	s.resets = nil
	var beats []wire.Beat
	if s.beatDue {
		beats = split(s.nextBeat())
	}
	s.beatDue, s.full = false, false
	s.mu.Unlock()
	if len(answers) > 0 {
		s.sent(s.srv.conn.Publish(reply, "", answers))
		s.reuse(answers)
	}
	for _, b := range beats {
		rest = b.Append(rest)
		s.sent(s.publishFirst("", rest))
		rest = nil
	}
	if len(rest) > 0 {
		s.sent(s.publishFirst("", rest))
	}
}

func (s *session) sent(err error) {
	if err != nil {
		s.srv.drops.add(dropSend, "peer", s.client, "error", err)
	}
}

// nextBeat lists how far each stream has been published. The numbers are of
// frames whose publishing has returned, so that none of them can come after the
// heartbeat. s.mu is held.
func (s *session) nextBeat() wire.Beat {
	s.beats++
	b := wire.Beat{From: s.srv.instance, Full: s.full || len(s.jobs) <= shortList || s.beats%fullEvery == 0, Used: s.credit.Used()}
	for id, j := range s.jobs {
		if n := j.out.published.Load(); b.Full || n != j.told {
			b.Calls = append(b.Calls, wire.BeatCall{Call: id, Number: n})
			j.told = n
		}
	}
	for call, f := range s.feeds {
		b.Calls = append(b.Calls, wire.BeatCall{Call: call, Number: f.last.Load()})
	}
	return b
}
