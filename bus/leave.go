// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// Drain leaves the fleet without failing anything. The menu does not name this
// server any more; what others serve too ends here at once, and what nobody else
// serves when 250 ms have passed without a call of it. Where calls still come after
// 2 s they are refused with [NoResponder], for 2 s at most, so that callers who know
// no other version stop sending. Calls on their way are served, open streams end
// with [Draining] after their last update so that durable clients open elsewhere at
// once, and calls in progress go on until ctx is done, which cancels them. Then the
// server is closed, and the broker has what it said. An error says what was cut
// short. Another Drain waits for the first, and cuts it short when its own ctx is
// done.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		select {
		case <-s.done:
			return nil
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.Close())
		}
	}
	s.draining = true
	s.mu.Unlock()
	defer context.AfterFunc(ctx, s.hurryUp)()
	s.micro.Drain()
	s.announce(true)

	last := s.last(ctx)
	s.mu.Lock()
	s.leaving = true
	subs := s.subs
	s.mu.Unlock()
	errs := s.drain(ctx, subs, last)
	s.endStreams()
	errs = append(errs, s.idle(ctx), s.end(), s.conn.Flush(ctx))
	if s.feedConn != s.conn {
		errs = append(errs, s.feedConn.Flush(ctx))
	}
	return errors.Join(errs...)
}

// drain ends the subscriptions of requests, those of the endpoints in last when
// no calls come any more.
func (s *Server) drain(ctx context.Context, subs []subscription, last []*endpoint) (errs []error) {
	callers := make(chan struct{}) // closed when those of last have gone
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(callers)
		if len(last) > 0 {
			s.callersGone(ctx, last)
		}
	})
	var mu sync.Mutex
	for _, sub := range subs {
		if !sub.request {
			continue
		}
		wg.Go(func() {
			if slices.Contains(last, sub.point) {
				<-callers
			}
			err := ended(sub.Drain(ctx))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return errs
}

// endStreams tells every open stream to go elsewhere.
func (s *Server) endStreams() {
	s.moving.Store(true) // for those that join a session from now on
	for _, sess := range s.allSessions() {
		for _, j := range sess.all() {
			j.leave()
		}
	}
	s.feeds.leave()
}

// idle waits for the handlers.
func (s *Server) idle(ctx context.Context) error {
	idle := make(chan struct{})
	go func() {
		s.calls.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		s.cutShort()
		<-idle
		return ctx.Err()
	}
}

// cutShort cancels the handlers, and refuses calls whose query is not whole: how
// long the rest of it takes is the caller's to say.
func (s *Server) cutShort() {
	s.cancel(Draining)
	for _, sess := range s.allSessions() {
		for _, j := range sess.all() {
			j.query.leave(j)
		}
	}
}

// Close stops the server: it takes no more calls, cancels those in progress,
// ends the open streams with [Draining] and waits for their handlers to return, but
// not for a broker that takes nothing. Only the first Close returns an error; all of
// them wait.
func (s *Server) Close() error {
	s.hurryUp()
	return s.end()
}

// end is Close, which says what there is to say however long the broker takes for it.
func (s *Server) end() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	defer close(s.done)
	s.draining, s.leaving, s.closed = true, true, true
	subs, stop := s.subs, s.stop
	s.mu.Unlock()
	s.announce(true) // once more, if it was drained

	var errs []error
	for _, sub := range subs {
		if sub.request {
			errs = append(errs, ended(sub.Unsubscribe()))
		}
	}
	s.cutShort()
	s.calls.Wait()
	close(s.quit) // the outbox publishes what it has, then returns
	s.loops.Wait()
	s.workers.end()
	for _, sub := range subs {
		if !sub.request {
			errs = append(errs, ended(sub.Unsubscribe()))
		}
	}
	if stop != nil {
		stop()
	}
	s.drops.log.written()
	s.troubles.log.written()
	return errors.Join(errs...)
}

// ended forgives a subscription that had ended, by Drain or with its connection.
func ended(err error) error {
	if errors.Is(err, nats.ErrBadSubscription) || errors.Is(err, nats.ErrConnectionClosed) {
		return nil
	}
	return err
}
