// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/micro"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// A Service is how a responder is known on the bus. The zero value works.
type Service struct {
	Name        string // in `nats micro ls`, of letters, digits, '_' and '-'; default: the program's name
	Version     string // of the program, semantic; default: from its build info, else 0.0.0
	Description string
	Metadata    map[string]string // in `nats micro info`
	Prefix      string            // of all RPC names, such as "acme"; default none
	Middleware  []Middleware      // around every handler; the first sees a call first
	Unknown     Unknown           // answers what no handler does; default none
	Limit       int               // handlers that have not answered at a time, beyond which callers get Busy; default 1000
	Streams     int               // open streams at a time, beyond which callers get Busy; default 100,000

	// Identity is who calls: what handlers find as [Incoming.Identity]. Set it if
	// the broker lets nobody else publish to the subjects below Prefix, which it
	// needs; docs/operations.md says how. Serve once for each caller that is to be
	// told apart. Default none.
	Identity string

	// MaxStreamAge ends streams of that age with Draining, so that durable clients
	// open elsewhere and load spreads after a scale-out. Each stream's is up to a
	// quarter less, at random. Default none.
	MaxStreamAge time.Duration

	// MaxStall ends a stream with Stalled whose reader lives but has taken nothing
	// for so long, though it had something to take. Default 1 min; negative is
	// never.
	MaxStall time.Duration

	// Menu changes what callers who choose a version, and directories, are told of
	// what is served; default: each handler. Serve calls it once. An entry that it
	// leaves out is found by those who name its version, and by no family. One that
	// it adds must be answered by Unknown: a proxy adds those that it reaches.
	Menu func([]MenuEntry) []MenuEntry

	// Feeds is a connection of its own for what is published to shared feeds;
	// default the service's. A reader that does not take a busy feed's frames has
	// the broker slow down the connection that publishes them, until it closes the
	// reader's: calls on this one are not in its way then.
	Feeds *nats.Conn

	// AnyConn takes the connections whatever their options are; see
	// [ClientOptions.AnyConn].
	AnyConn bool
}

const (
	defaultLimit   = 1000
	defaultStreams = 100_000
	defaultStall   = time.Minute
	maxSessions    = 1 << 16 // callers remembered at a time
)

// A Server answers calls that come over a NATS connection.
//
// Its handlers run concurrently, each on a goroutine of its own; their context
// ends when the caller cancels, dies or is past its deadline, and when the
// server closes.
type Server struct {
	conn     transport.Conn
	feedConn transport.Conn // on which feeds are published; the same, if there is no other
	svc      Service
	mux      *mux
	instance string
	micro    *micro.Service
	points   []*endpoint
	unknown  *micro.Counters      // of the service's Unknown; nil if it has none
	byName   map[string]*endpoint // by full name and version
	out      *outbox
	feedOut  *outbox // of feeds; the same, if they have no connection of their own, which may be slow
	drops    drops
	troubles troubles
	start    time.Time
	queries  budget // of queries in pieces

	answering chan struct{} // has one for each answer that leaves by itself

	ctx     context.Context // of every handler
	cancel  context.CancelCauseFunc
	hurry   context.Context // done when what the broker does not take is not waited for any more
	hurryUp context.CancelFunc
	quit    chan struct{}
	done    chan struct{}  // closed at the end of Close
	calls   sync.WaitGroup // handlers
	mute    atomic.Bool    // nothing is announced: that is not permitted, or nobody knows us
	moving  atomic.Bool    // the streams have been told to go elsewhere
	loops   sync.WaitGroup // the outbox and the tick
	feeds   feeds

	workers workers
	running atomic.Int64 // handlers that have not answered
	most    atomic.Int64 // bytes of a message at most, as the broker said when it was looked at last

	mu         sync.Mutex // guards the fields below
	subs       []subscription
	stop       func()
	sessions   map[string]*session // by client
	clocks     clocks              // of clients that are forgotten
	tokens     map[string]*session
	open       int     // streams
	survey     *survey // of a drain
	introduced bool    // it was announced
	draining   bool    // Drain or Close has begun: the menu does not say any more what is served here
	leaving    bool    // and no new streams are taken
	closed     bool
	ticking    bool
	gen        uint64 // the connection's generation when it was looked at last
}

// An endpoint is one RPC that the server serves.
type endpoint struct {
	Description
	counters *micro.Counters
	calls    atomic.Uint64 // messages with requests that came
	shut     atomic.Bool   // they are refused: the last responder is leaving

	snapshots snapshots // of shared streams
	told      sync.Once // that they cannot be shared
}

type subscription struct {
	transport.Subscription
	request bool      // ends at the beginning of a drain
	point   *endpoint // whose queue it is; nil
}

// Serve starts a server of handlers. Calls made after it returns are answered,
// until Close. Where a handler, the service or nc is wrong it returns an error
// and serves nothing. The connection stays the caller's; it must outlive the
// server.
func Serve(nc *nats.Conn, svc Service, handlers ...Handler) (*Server, error) {
	for _, c := range []*nats.Conn{nc, cmp.Or(svc.Feeds, nc)} {
		if err := checkConn(c, svc.AnyConn); err != nil {
			return nil, err
		}
	}
	return serve(transport.Over(nc), svc, handlers...)
}

func serve(conn transport.Conn, svc Service, handlers ...Handler) (*Server, error) {
	svc, err := svc.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		svc: svc, instance: newID(), out: newOutbox(), start: time.Now(), queries: newBudget(valueBudget),
		quit: make(chan struct{}), done: make(chan struct{}), sessions: map[string]*session{}, tokens: map[string]*session{},
		byName: map[string]*endpoint{}, feeds: newFeeds(), answering: make(chan struct{}, svc.Limit),
	}
	s.drops.who = "server " + s.instance
	s.troubles.who = s.drops.who
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.hurry, s.hurryUp = context.WithCancel(context.Background())
	s.conn = transport.Patient(conn, s.hurry.Done())
	s.feedConn, s.feedOut = s.conn, s.out
	if svc.Feeds != nil && transport.Over(svc.Feeds) != conn {
		s.feedConn, s.feedOut = transport.Patient(transport.Over(svc.Feeds), s.hurry.Done()), newOutbox()
	}
	if s.mux, err = newMux(s.instance, svc.Middleware, handlers); err != nil {
		return nil, err
	}
	if s.mux.unknown = svc.Unknown; svc.Unknown.Call != nil {
		s.mux.unknown.Call = chain(svc.Unknown.Call, svc.Middleware)
	}
	if err := s.mux.tell(svc.Menu); err != nil {
		return nil, err
	}
	if err := s.describe(); err != nil {
		return nil, err
	}
	if err := s.subscribe(); err != nil {
		s.mute.Store(true) // nobody has heard of it
		return nil, errors.Join(err, s.Close())
	}
	s.stay(s.introduce)
	s.loops.Go(s.announcing)
	return s, nil
}

// describe makes the service that the NATS tools see.
func (s *Server) describe() error {
	cfg := micro.Config{
		ID: s.instance, Name: s.svc.Name, Version: s.svc.Version, Description: s.svc.Description,
		Metadata: map[string]string{"durabus": fmt.Sprint(protocolVersion)}, Started: s.start,
	}
	for k, v := range s.svc.Metadata {
		cfg.Metadata[k] = v
	}
	for _, d := range s.mux.menu {
		cfg.Endpoints = append(cfg.Endpoints, micro.Endpoint{
			Name: d.String(), Subject: s.requestSubject(d), QueueGroup: queueGroup,
			Metadata: s.mux.metadata(d),
		})
	}
	if s.svc.Unknown.Call != nil {
		cfg.Endpoints = append(cfg.Endpoints, s.unknownEndpoint())
	}
	m, err := micro.New(cfg)
	if err != nil {
		return &Error{Code: Invalid, Err: err, Message: err.Error()}
	}
	s.micro = m
	for i, d := range s.mux.menu {
		p := &endpoint{Description: d, counters: m.Counters(i)}
		s.points = append(s.points, p)
		s.byName[wire.FullName(s.svc.Prefix, d.String())] = p
	}
	if s.svc.Unknown.Call != nil {
		s.unknown = m.Counters(len(s.points))
	}
	return nil
}

func (s *Server) requestSubject(d Description) string {
	return wire.RequestSubject(wire.FullName(s.svc.Prefix, d.Name), d.Version)
}

// queueGroup is that of the services protocol, so that a responder of another
// make may share the load.
const queueGroup = "q"

// subscribe opens the subscriptions: those of the requests when all that a call
// needs is there, and those of the menu last, so that it says nothing too early.
func (s *Server) subscribe() error {
	_, before := s.conn.LastRefusal()
	subjects, err := s.listen()
	if err != nil {
		return &Error{Code: Disconnected, Err: err, Message: "subscribing: " + err.Error()}
	}
	return s.confirm(subjects, before)
}

// listen makes the subscriptions and returns their subjects.
func (s *Server) listen() (subjects []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen = s.conn.Generation()
	s.stop = s.conn.Notify(s.event)
	if s.feedConn != s.conn {
		stop, stopFeeds := s.stop, s.feedConn.Notify(s.feedEvent)
		s.stop = func() { stop(); stopFeeds() }
		s.loops.Go(func() { s.feedOut.run(s.quit) })
	}
	s.loops.Go(func() { s.out.run(s.quit) })

	add := func(subject, queue string, request bool, p *endpoint, f func(transport.Msg)) {
		if err != nil {
			return
		}
		var sub transport.Subscription
		if sub, err = s.conn.Subscribe(subject, queue, f); err == nil {
			s.subs = append(s.subs, subscription{sub, request, p})
			subjects = append(subjects, subject)
		}
	}
	add(wire.ControlSubjects(s.instance), "", false, nil, s.control)
	for _, subject := range s.micro.Subjects() {
		add(subject, "", false, nil, s.discovery)
	}
	add(wire.InstanceSubjects(s.instance), "", true, nil, (&intake{srv: s}).instanceRequest)
	for _, p := range s.points {
		in := &intake{srv: s}
		add(s.requestSubject(p.Description), queueGroup, true, p, func(m transport.Msg) { in.request(p, m) })
	}
	for name := range s.mux.told {
		full := wire.FullName(s.svc.Prefix, name)
		answer := func(m transport.Msg) { s.asked(name, m) }
		add(wire.MenuOneSubject(full), queueGroup, true, nil, answer)
		add(wire.MenuAllSubject(full), "", true, nil, answer)
	}
	if s.unknown != nil {
		add(s.unknownSubject(), queueGroup, true, nil, (&intake{srv: s}).unknownRequest)
	}
	return subjects, err
}

// confirm waits until the broker knows the subscriptions, if there is one to
// ask; else they are made when the connection is. Requests are answered
// meanwhile.
func (s *Server) confirm(subjects []string, before error) error {
	if !s.conn.Connected() {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	if err := s.conn.Flush(ctx); err != nil && s.conn.Connected() {
		return &Error{Code: Disconnected, Err: err, Message: "the broker did not confirm the subscriptions: " + err.Error()}
	}
	subject, refusal := s.conn.LastRefusal()
	if refusal == nil || refusal == before {
		return nil
	}
	for _, own := range subjects {
		if own == subject {
			return &Error{Code: Denied, Err: refusal, Message: "no permission to subscribe to " + subject}
		}
	}
	return nil
}

// Instance returns the server's id on the bus; see [Client.WithInstance].
func (s *Server) Instance() string { return s.instance }

// Dropped returns how many messages were dropped because they made no sense, by
// reason.
func (s *Server) Dropped() map[string]uint64 { return s.drops.all() }

func (s *Server) allSessions() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for _, sess := range s.sessions {
		all = append(all, sess)
	}
	return all
}

func (s *Server) now() time.Duration { return time.Since(s.start) }

// event is told of the connection's changes.
func (s *Server) event(ev transport.Event) {
	switch ev.Kind {
	case transport.Disconnected, transport.Closed:
		for _, sess := range s.allSessions() {
			for _, j := range sess.all() {
				j.out.wakeUp()
			}
		}
	case transport.Reconnected:
		s.look()
	case transport.Denied:
		if wire.IsAnnounceSubject(ev.Subject) { // then callers ask
			s.mute.Store(true)
			return
		}
		s.drops.add(dropSend, "error", ev.Err)
	case transport.Dropped:
		s.drops.add(dropOverflow, "subject", ev.Subject)
	}
}

// startTick watches sessions until there are none. s.mu is held.
func (s *Server) startTick() {
	if s.ticking || s.closed {
		return
	}
	s.ticking = true
	s.loops.Go(func() {
		ticks, stop := transport.Ticks(s.conn, flow.Tick)
		defer stop()
		for {
			select {
			case <-ticks:
			case <-s.quit:
				return
			}
			if !s.ticked() {
				return
			}
		}
	})
}

// look notices that the connection was made again, from its event or, where that
// was not told, at a tick.
func (s *Server) look() {
	gen := s.conn.Generation()
	s.most.Store(int64(s.conn.MaxPayload()))
	s.mu.Lock()
	changed := s.troubles.reconnected(&s.gen, gen)
	s.mu.Unlock()
	if !changed {
		return
	}
	s.stay(func() { s.announce(false) })
	for _, sess := range s.allSessions() {
		sess.reconnected(s.now())
	}
	s.feeds.reconnected()
}

func (s *Server) ticked() bool {
	s.look()
	now := s.now()
	for _, sess := range s.allSessions() {
		switch sess.ticked(now) {
		case flow.Beat:
			sess.beat(false)
		case flow.Dead:
			s.remove(sess)
		}
	}
	workers, feeds := s.workers.trim(now), s.feeds.ticked(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticking = len(s.sessions) > 0 || workers || feeds
	return s.ticking
}

// maxPayload is how large a message may be. To ask the connection takes its lock,
// which those who publish hold.
func (s *Server) maxPayload() int {
	if n := s.most.Load(); n > 0 {
		return int(n)
	}
	return s.conn.MaxPayload()
}

// remove forgets a caller; what it still had is cancelled.
func (s *Server) remove(sess *session) {
	s.mu.Lock()
	if s.sessions[sess.client] == sess {
		s.forget(sess, s.now())
	}
	delete(s.tokens, sess.token)
	s.mu.Unlock()
	jobs, members := sess.end(), sess.leaveAll()
	s.troubles.gone(sess.client, len(jobs)+members, "it says nothing, or the broker says that it is not there")
	for _, j := range jobs {
		j.abandon(Gone)
	}
}

// forget ends the record of a client but for its clock. s.mu is held.
func (s *Server) forget(sess *session, now time.Duration) {
	delete(s.sessions, sess.client)
	delete(s.tokens, sess.token)
	s.clocks.keep(sess.client, sess.clock(), now)
}
