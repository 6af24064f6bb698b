// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// Of a process's clock the others see one thing: when it says that it sent a
// request. Here that is told by a clock of its own, which may jump; it is the
// monotonic clock, which stands still where a machine is suspended. All else on
// the wire are durations.

// clocks begin here, so that they may jump back.
const clocks = 24 * time.Hour

// jump moves the process's clock.
func (c *conn) jump(by time.Duration) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.clock += by
	c.net.trace.note(c.name, "clock jumps", by)
}

// stamped returns a copy of what m carries, as the process's clock has it. The
// network is locked.
func (c *conn) stamped(m transport.Msg) []byte {
	if !isRequest(m.Subject) {
		return slices.Clone(m.Data)
	}
	data := make([]byte, 0, len(m.Data)+16)
	for rest := m.Data; ; {
		frame := rest
		kind, body, next, err := wire.Next(rest)
		if err != nil || kind == 0 {
			return append(data, rest...)
		}
		rest = next
		if kind != wire.KindOpen {
			data = append(data, frame[:len(frame)-len(rest)]...)
			continue
		}
		var o wire.Open
		if o.Parse(body) != nil {
			return slices.Clone(m.Data)
		}
		if o.SentUS > 0 {
			o.SentUS += uint64((clocks + c.clock).Microseconds())
		}
		data = o.Append(data)
	}
}

// isRequest reports whether what is sent to subject are requests.
func isRequest(subject string) bool {
	_, _, ok := wire.ParseRequestSubject(subject)
	if !ok {
		_, _, _, ok = wire.ParseInstanceSubject(subject)
	}
	return ok
}

// Requests are those that one responder has received, judged by the rule of
// docs/protocol.md («Age») as far as it is certain. The network's lock guards
// them.
type requests struct {
	responder *conn
	clients   map[string]*transit
	calls     map[string]*request // by what logs call them
}

// A transit is what one client's requests tell of the way and its clock.
type transit struct {
	inbox   string
	least   time.Duration
	known   bool
	heard   time.Time
	unheard bool // the broker said since that the client is not there

	aged, anew int // requests that were too old, that were made because of one
}

// A request is one call's.
type request struct {
	came    time.Time
	timeout time.Duration // 0 is none
	age     time.Duration // at least
	expired bool
}

// requests begins to judge those that reach the process; nil is not to know.
func (c *conn) requests() *requests {
	if c == nil {
		return nil
	}
	r := &requests{responder: c, clients: map[string]*transit{}, calls: map[string]*request{}}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.tap = r.take
	return r
}

// take judges the requests in a message that reaches the responder.
func (r *requests) take(m transport.Msg) {
	switch {
	case m.NoResponders:
		r.unheard(m.Subject)
		return
	case !isRequest(m.Subject):
		return
	}
	for rest := m.Data; ; {
		kind, body, next, err := wire.Next(rest)
		if err != nil || kind == 0 {
			return
		}
		rest = next
		var o wire.Open
		if kind == wire.KindOpen && o.Parse(body) == nil {
			r.judge(o, m.Reply)
		}
	}
}

func (r *requests) judge(o wire.Open, reply string) {
	t, now := r.clients[o.Client], time.Now()
	if t == nil || now.Sub(t.heard) >= flow.DeadAfter || t.unheard {
		// The responder may have forgotten the client, and then takes this request
		// for a first one.
		t = &transit{inbox: reply[:max(0, strings.LastIndexByte(reply, '.'))]}
		r.clients[o.Client] = t
	}
	t.heard = now
	q := &request{came: now, timeout: time.Duration(o.TimeoutUS) * time.Microsecond}
	if o.SentUS == 0 {
		t.known = false
		t.anew++
	} else {
		took := time.Duration(now.UnixNano()) - time.Duration(o.SentUS)*time.Microsecond
		if !t.known || took < t.least {
			t.least, t.known = took, true
		}
		q.age = took - t.least
	}
	q.expired = q.age > 2*time.Second || q.timeout > 0 && q.age >= q.timeout
	if q.expired {
		r.responder.net.aged++
		t.aged++
	}
	r.calls[o.Client[:min(8, len(o.Client))]+"-"+strconv.FormatUint(o.Call, 10)] = q
}

// unheard takes the broker's word that nobody is at a client's address.
func (r *requests) unheard(subject string) {
	for _, t := range r.clients {
		if strings.HasPrefix(subject, t.inbox+".") {
			t.unheard = true
		}
	}
}

// of returns the request whose handler has ctx, if that is known.
func (r *requests) of(ctx context.Context) (q *request, known bool) {
	if r == nil {
		return nil, false
	}
	id := bus.IncomingCall(ctx).CallID
	r.responder.net.mu.Lock()
	defer r.responder.net.mu.Unlock()
	return r.calls[id], true
}

// patience checks that a client of which everything is known made no request anew
// but for one that was too old: the responder has learnt its clock then.
func (r *requests) patience(o *oracle, client string) {
	if r == nil {
		return
	}
	r.responder.net.mu.Lock()
	defer r.responder.net.mu.Unlock()
	if t := r.clients[client]; t != nil && t.anew > t.aged {
		o.broken("I3", "%d requests were too old, and %d were sent again for that", t.aged, t.anew)
	}
}
