// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/durabus/durabus/internal/transport"
)

// A sub is a subscription as its process knows it.
type sub struct {
	conn           *conn
	subject, queue string
	begin          string // of subject, before its first wildcard, or all of it
	f              func(transport.Msg)
	interest       *interest // guarded by the network's lock; nil if the broker does not know, or is not to know

	mu      sync.Mutex // guards the fields below
	queued  []transport.Msg
	running bool // a goroutine hands out what is queued
	ending  bool // no more is queued
	ended   chan struct{}
}

// Subscribe implements [transport.Conn].
func (c *conn) Subscribe(subject, queue string, f func(transport.Msg)) (transport.Subscription, error) {
	begin, _, _ := strings.Cut(subject, "*")
	begin, _, _ = strings.Cut(begin, ">")
	s := &sub{conn: c, subject: subject, queue: queue, begin: begin, f: f, ended: make(chan struct{})}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.subs = append(c.subs, s)
	if c.connected && !c.dead {
		s.announce()
	}
	return s, nil
}

// hears reports whether a message with a subject is for s.
func (s *sub) hears(subject string) bool {
	if len(s.begin) == len(s.subject) {
		return s.subject == subject
	}
	return strings.HasPrefix(subject, s.begin) && matches(s.subject, subject)
}

// announce tells the broker of s; the network is locked.
func (s *sub) announce() {
	n := s.conn.net
	i := &interest{sub: s, node: s.conn.node, known: make([]bool, len(n.routes))}
	s.interest = i
	n.interests = append(n.interests, i)
	s.conn.up.send(0, func() {
		if s.interest == i {
			n.hear(i, true)
		}
	})
}

// registered reports whether i is the present one.
func (s *sub) registered(i *interest) bool { return s.interest == i }

func (s *sub) push(m transport.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || s.conn.dead {
		return
	}
	s.queued = append(s.queued, m)
	if !s.running {
		s.running = true
		go s.run()
	}
}

// run hands out what is queued. Most subscriptions never need it.
func (s *sub) run() {
	for {
		s.mu.Lock()
		msgs := s.queued
		s.queued = nil
		if len(msgs) == 0 {
			s.running = false
			if s.ending {
				close(s.ended)
			}
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for _, m := range msgs {
			s.f(m)
		}
	}
}

// leave has the broker forget s.
func (s *sub) leave() {
	c := s.conn
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.subs = slices.DeleteFunc(c.subs, func(o *sub) bool { return o == s })
	if i := s.interest; i != nil && !c.dead {
		c.up.send(0, func() {
			if s.interest == i {
				s.interest = nil
				c.net.hear(i, false)
			}
		})
	}
}

func (s *sub) end(discard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if discard {
		s.queued = nil
	}
	if !s.ending && !s.running {
		close(s.ended)
	}
	s.ending = true
}

// Unsubscribe implements [transport.Subscription].
func (s *sub) Unsubscribe() error {
	s.leave()
	s.end(true)
	return nil
}

// Drain implements [transport.Subscription].
func (s *sub) Drain(ctx context.Context) error {
	s.leave()
	err := s.conn.Flush(ctx)
	s.end(false)
	if err != nil && ctx.Err() != nil {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
