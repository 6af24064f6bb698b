// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"sync"
	"sync/atomic"

	"github.com/durabus/durabus/internal/wire"
)

// A route is where a client asks for the calls of one RPC. Requests that are
// made while others are under way gather in it and share messages. Each message
// goes to one responder, so it holds a part of the calls under way at most: they
// spread over the responders, and where they are few each goes alone, published
// by its caller.
type route struct {
	box      *mailbox
	desc     Description
	name     string // with the client's prefix
	subject  string
	queued   atomic.Bool  // in the outbox
	underWay atomic.Int64 // calls that share messages, from their request to their end
	taken    atomic.Bool  // a responder had a call, so that the broker took them once

	mu     sync.Mutex // held while publishing; guards the fields below
	packet []byte     // requests that wait
	calls  []*inCall  // whose they are
}

const (
	maxShared = 16 // requests in a message
	spread    = 4  // messages, at least, that the calls under way came in
)

// share is how many requests a message may hold now.
func (r *route) share() int { return int(min(max(r.underWay.Load()/spread, 1), maxShared)) }

// ask registers c and sends its request, with others or at once. The error is
// that of a request that was not sent; where it waits for others c is told.
func (r *route) ask(c *inCall, o *wire.Open) error {
	r.underWay.Add(1)
	c.shares = true
	size := len(o.Query) + metadataRoom(o.Metadata) + len(o.ContentType) + envelope
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.packet)+size > min(batchSize+envelope, r.box.room()) {
		r.publish(nil)
	}
	c.id = r.box.next() // in the order of publishing
	if err := r.box.begin(c); err != nil {
		return err
	}
	o.Call = c.id
	r.packet = o.Append(r.packet)
	r.calls = append(r.calls, c)
	if len(r.calls) < r.share() {
		r.box.out.add(r)
		return nil
	}
	return r.publish(c)
}

// publish sends what waits. It returns the error of doing so to the caller of
// its own call and tells the others. r.mu is held.
func (r *route) publish(own *inCall) error {
	if len(r.calls) == 0 {
		return nil
	}
	n := r.calls[len(r.calls)-1].id
	for _, c := range r.calls {
		c.message.Store(n)
	}
	err := r.box.conn.Publish(r.subject, r.box.reply(n), wire.AppendNumber(r.packet, n))
	var failed error
	for _, c := range r.calls {
		if err == nil {
			break
		}
		if e := r.box.failed(err, c.route.desc); c == own {
			failed = e
		} else {
			c.fail(e.(*Error))
		}
	}
	clear(r.calls)
	r.packet, r.calls = r.packet[:0], r.calls[:0]
	return failed
}

func (r *route) waiting() *atomic.Bool { return &r.queued }

// flush sends what has gathered.
func (r *route) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.publish(nil)
}

// routes are the routes of one client.
type routes struct {
	mu sync.Mutex // guards the field below
	m  map[Description]*route
}

// maxRoutes bounds the memory of a client that calls names from elsewhere.
const maxRoutes = 4096

// route returns the route of d, or what is wrong with d.
func (cl *Client) route(d Description) (*route, error) {
	rs := cl.routes
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.m[d]; r != nil {
		return r, nil
	}
	if err := checkDescription(d); err != nil {
		return nil, err
	}
	if len(rs.m) >= maxRoutes { // those in use live on with their calls
		clear(rs.m)
	}
	r := &route{box: cl.box, desc: d, name: wire.FullName(cl.prefix, d.Name), subject: cl.subject(d)}
	rs.m[d] = r
	return r, nil
}
