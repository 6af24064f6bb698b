// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"time"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// maxRequests is how many requests a message may hold. Callers send fewer.
const maxRequests = 64

// maxUnreadable is how many requests that make no sense are answered in a second:
// whoever tries to speak to us learns why it fails, and a flood is not doubled.
const maxUnreadable = 1000

// An intake takes the requests of one subscription, on its goroutine.
type intake struct {
	srv  *Server
	open wire.Open // the newest request: the next one shares what it repeats

	second     time.Duration // when the answers to what makes no sense were counted anew
	unreadable int           // of them since

	// Of the message that is being taken:
	point  *endpoint
	msg    transport.Msg
	number uint64
	now    time.Duration
	taken  int
	jobs   []*job // admitted and not started, of one session
}

// request takes a message with requests for p. It does no more than decide which
// handlers to start.
func (in *intake) request(p *endpoint, m transport.Msg) {
	s := in.srv
	p.calls.Add(1)
	if h := m.Header[contentTypeHeader]; len(h) > 0 {
		s.plainRequest(p, m, h[0])
		return
	}
	in.point, in.msg, in.now, in.taken = p, m, s.now(), 0
	if err := in.requests(); err != nil {
		s.drops.add(dropMalformed, "subject", m.Subject, "error", err)
		in.refuse(0, err)
	}
	in.start()
	in.msg, in.open.Query, in.open.Metadata = transport.Msg{}, nil, nil // not kept until the next
}

// requests takes each request of the message by itself. Its error is that of a
// message without any that can be read.
func (in *intake) requests() (err error) {
	if in.number, err = wire.Number(in.msg.Data); err != nil {
		return err
	}
	var wrong error // with the first frame that is no request
	for rest := in.msg.Data; ; {
		var kind wire.Kind
		var body []byte
		kind, body, rest, err = wire.Next(rest)
		if kind == 0 && err == nil {
			break
		}
		if err == nil {
			err = in.frame(kind, body)
		}
		if err != nil && wrong != nil {
			in.drop(err)
		} else if err != nil {
			wrong = err
		}
	}
	switch {
	case in.taken > 0 && wrong != nil:
		in.drop(wrong)
	case in.taken == 0 && wrong == nil:
		return errors.New("it is empty")
	case in.taken == 0:
		return wrong
	}
	return nil
}

// frame takes one frame of the message. An error is that of a frame which does
// not say which call it is for.
func (in *intake) frame(kind wire.Kind, body []byte) error {
	o := &in.open
	switch {
	case kind != wire.KindOpen:
		return fmt.Errorf("it has a frame of kind %v", kind)
	case in.taken == maxRequests:
		return fmt.Errorf("it has more than %d requests", maxRequests)
	}
	err := o.Parse(body)
	if o.Call == 0 {
		return errors.Join(err, errors.New("it names no call"))
	}
	in.taken++
	if err == nil && o.Client == "" {
		err = errors.New("it names no client")
	}
	if err == nil {
		err = checkID(o.Client)
	}
	if err != nil {
		in.drop(err)
		in.refuse(o.Call, err)
		return nil
	}
	in.admit(o)
	return nil
}

// admit has the call of a request that can be read started, or refuses it.
func (in *intake) admit(o *wire.Open) {
	s := in.srv
	j := s.newJob(in.point, o, &in.msg, in.now)
	if len(in.jobs) > 0 && in.jobs[0].sess.client == o.Client {
		j.sess = in.jobs[0].sess
	}
	if err := s.admit(j, o, max(in.number, o.Call)); err != nil {
		j.reject(err)
		return
	}
	if o.Total > 0 {
		j.awaitQuery(o.Total)
		return
	}
	if len(in.jobs) > 0 && in.jobs[0].sess != j.sess {
		in.start()
	}
	in.jobs = append(in.jobs, j)
}

// start starts the handlers of the jobs that were admitted.
func (in *intake) start() {
	if len(in.jobs) > 0 {
		in.srv.run(in.jobs[0].sess, in.now, in.jobs...)
	}
	clear(in.jobs)
	in.jobs = in.jobs[:0]
}

func (in *intake) drop(err error) {
	in.srv.drops.add(dropOf(err), "subject", in.msg.Subject, "error", err)
}

// refuse answers what cannot be read, unless too much of that came.
func (in *intake) refuse(call uint64, err error) {
	if in.now-in.second >= time.Second {
		in.second, in.unreadable = in.now, 0
	}
	if in.unreadable++; in.unreadable > maxUnreadable {
		return
	}
	in.srv.refuse(in.msg.Reply, call, &Error{
		Code: Undecodable, RPC: in.point.Description, Message: "not a request: " + err.Error() +
			"; to send JSON, set the header " + contentTypeHeader + ": " + ContentTypeJSON,
	})
}

// firstOpen returns the first request in a packet, if it can be read.
func firstOpen(data []byte) (*wire.Open, error) {
	kind, body, _, err := wire.Next(data)
	if err != nil {
		return nil, err
	}
	if kind != wire.KindOpen {
		return nil, fmt.Errorf("it begins with a frame of kind %v", kind)
	}
	o := new(wire.Open)
	return o, o.Parse(body)
}
