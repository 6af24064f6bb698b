// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"fmt"
	"time"
)

// An act does something to what the replica depends on.
type act struct {
	title string   // in a few words
	what  []string // it does and is to be seen, line by line
	do    func(context.Context) error

	// arrived reports that the replica has come to where do leads it.
	arrived func(replica) bool
}

// A result is how an act went.
type result struct {
	act     int
	title   string
	replica replica // that was checked
	err     error   // nil if the checksums are equal
}

func (s *stage) acts() []act {
	return []act{
		{
			title: "first state and live updates",
			what: []string{
				"Two responders of version 1 start. One answers this process with the table of all processes here.",
				"Then every start, exit and change is an update. So that there are some, short-lived processes start all the time.",
			},
			do:      s.begin,
			arrived: func(r replica) bool { return r.info.RPC.Version == 1 },
		},
		{
			title:   "the broker restarts",
			what:    []string{"The NATS server is killed, with all its connections, and starts again on the same port."},
			do:      s.restartBroker,
			arrived: func(replica) bool { return true },
		},
		{
			title:   "the responder is killed",
			what:    []string{"The responder that the replica follows gets SIGKILL and can say nothing to anybody. The other one stands by."},
			do:      s.killResponder,
			arrived: s.elsewhere(1),
		},
		{
			title: "an upgrade to version 2",
			what: []string{
				"A responder of versions 1 and 2 starts, then that of version 1 drains.",
				"The replica has the types of version 2 from the start. Until now they were converted from version 1.",
			},
			do:      s.replaceResponder,
			arrived: s.elsewhere(2),
		},
		{
			title:   "the responder drains",
			what:    []string{"Another responder starts, and the one that the replica follows leaves in order."},
			do:      s.replaceResponder,
			arrived: s.elsewhere(2),
		},
	}
}

// elsewhere returns what reports that the replica follows another responder than
// the one it was taken from, in a version.
func (s *stage) elsewhere(version int) func(replica) bool {
	return func(r replica) bool { return r.info.Instance != s.left && r.info.RPC.Version == version }
}

func (s *stage) begin(ctx context.Context) error {
	for range 2 {
		if err := s.respond(ctx, 1); err != nil {
			return err
		}
	}
	s.workers = employ(s.crew)
	s.follower = follow(s.crew.ctx, s.client, s.event)
	return nil
}

func (s *stage) restartBroker(ctx context.Context) error {
	s.broker.Kill()
	s.say("The NATS server is down.")
	select {
	case <-time.After(brokerOutage):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.broker.Restart(); err != nil {
		return err
	}
	s.say("The NATS server is back.")
	return nil
}

func (s *stage) killResponder(context.Context) error {
	m, err := s.take()
	if err != nil {
		return err
	}
	s.say("Process %d, responder %s, is killed.", m.pid(), s.left)
	return m.terminate()
}

// replaceResponder starts a responder of version 2 and drains the one that the
// replica follows.
func (s *stage) replaceResponder(ctx context.Context) error {
	if err := s.respond(ctx, 2); err != nil {
		return err
	}
	m, err := s.take()
	if err != nil {
		return err
	}
	s.say("Process %d, responder %s, drains.", m.pid(), s.left)
	if err := m.dismiss(); err != nil {
		return err
	}
	return m.wait(ctx)
}

// take returns the responder that the replica follows, which is to end now.
func (s *stage) take() (*member, error) {
	r, _ := s.follower.now()
	s.left = r.info.Instance
	m, ok := s.responders[s.left]
	if !ok {
		return nil, fmt.Errorf("the replica follows %q, which is none of the demo's responders", s.left)
	}
	delete(s.responders, s.left)
	return m, nil
}

// playOne plays an act until the replica has arrived and heard enough, and
// compares checksums.
func (s *stage) playOne(ctx context.Context, n int, a act) (res result) {
	res = result{act: n, title: a.title}
	ctx, cancel := context.WithTimeoutCause(ctx, actTime, fmt.Errorf("it took more than %v", actTime))
	defer cancel()
	s.announce(n, a)
	if s.follower != nil {
		s.follower.begin()
	}
	if res.err = a.do(ctx); res.err != nil {
		return res
	}
	s.follower.recount()
	done := s.waiting(fmt.Sprintf("act %d", n), func() string {
		r, _ := s.follower.now()
		return r.progress(time.Now())
	})
	res.replica, res.err = s.follower.until(ctx, func(r replica) bool {
		return r.fresh && a.arrived(r) && r.updates() >= leastCount && r.heard.Sub(r.opened) >= leastTime
	})
	done()
	if res.err != nil {
		res.err = fmt.Errorf("%w: the replica has heard of %d updates, of %d that it takes", res.err, res.replica.updates(), leastCount)
		return res
	}
	res.err = s.compare(ctx, res.replica)
	return res
}

func (s *stage) compare(ctx context.Context, r replica) error {
	theirs, err := s.checksum(ctx, r)
	if err != nil {
		return err
	}
	ours := r.digest()
	s.checked(r, ours, theirs)
	if ours != theirs {
		return fmt.Errorf("%w: checksum %s, should be %s, at %d of %v", errDiffers, ours, theirs, r.table.Seq, r.info.RPC)
	}
	return nil
}
