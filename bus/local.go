// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Local returns a caller that answers with handlers in this process, through
// their codecs and with the same errors as over NATS, but on the caller's own
// goroutine. Where a handler is wrong every call says so.
func Local(handlers ...Handler) Caller {
	m, err := newMux("local", nil, handlers)
	if err != nil {
		return invalid{err}
	}
	return local{m}
}

type invalid struct{ err error }

func (i invalid) Call(context.Context, Call) (Reply, error)     { return Reply{}, i.err }
func (i invalid) Served(context.Context, string) ([]int, error) { return nil, i.err }

type local struct{ *mux }

var localCalls atomic.Uint64

func (l local) Call(ctx context.Context, c Call) (Reply, error) {
	if err := checkCall(c); err != nil {
		return Reply{}, err
	}
	if err := ctx.Err(); err != nil {
		return Reply{}, notSent(contextError(ctx, c.Description))
	}
	id := fmt.Sprintf("local-%d", localCalls.Add(1))
	// The streams that a handler opens here are not its own.
	in := &Incoming{RPC: c.Description, CallID: id, Metadata: c.Metadata, Reply: Metadata{}}
	r, err := l.mux.call(WithIncoming(withSource(ctx, nil), in), c, localCall{in})
	r.CallID = id
	if _, served := l.handlers[c.Description]; served && c.Kind == OneWay {
		if err != nil {
			slog.Warn("durabus: a message was not taken", "rpc", c.String(), "call", id, "error", err)
		}
		return Reply{Info: Info{RPC: c.Description}}, nil // as over NATS, nobody hears what became of it
	}
	return r, err
}

// A localCall is a call to a local.
type localCall struct{ in *Incoming }

// A pumpCall is that of a feed's pump, which encodes the updates into its batch.
type pumpCall struct{ localCall }

func (c localCall) description() Description { return c.in.RPC }
func (c localCall) callID() string           { return c.in.CallID }
func (c localCall) incoming() *Incoming      { return c.in }

func (l local) Served(_ context.Context, name string) ([]int, error) { return l.served[name], nil }

func notSent(e *Error) *Error { e.MayHaveRun = false; return e }

// A mux finds the handler of a call and runs it behind the guards that every
// call has, over NATS or not.
type mux struct {
	instance string
	handlers map[Description]Handler
	served   map[string][]int // ascending; not changed once made
	menu     []Description    // by name, then version
	unknown  Unknown
	told     map[string][]int // as served, of what the menu has
	lines    []MenuEntry      // the menu of a service that has its own; else nil

	panics panics // of handlers

	mu      sync.Mutex // guards digests
	digests map[Description]string
}

func newMux(instance string, mw []Middleware, handlers []Handler) (*mux, error) {
	m := &mux{instance: instance, handlers: map[Description]Handler{}, served: map[string][]int{}, digests: map[Description]string{}}
	all := append([]Handler{m.menuHandler()}, handlers...)
	for _, h := range all {
		switch err := checkDescription(h.Description); {
		case h.Err != nil:
			return nil, h.Err
		case err != nil:
			return nil, err
		case h.Call == nil:
			return nil, &Error{Code: Invalid, RPC: h.Description, Message: "nil handler"}
		case slices.Contains(m.served[h.Name], h.Version):
			return nil, &Error{Code: Invalid, RPC: h.Description, Message: "two handlers for one version"}
		}
		m.handlers[h.Description] = h.With(mw...)
		m.served[h.Name] = append(m.served[h.Name], h.Version)
		slices.Sort(m.served[h.Name])
		m.menu = append(m.menu, h.Description)
	}
	slices.SortFunc(m.menu, compareRPCs)
	m.told = m.served
	return m, nil
}

func compareRPCs(a, b Description) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), a.Version-b.Version)
}

// find returns the handler for d, which may differ in kind: that is said.
func (m *mux) find(d Description) (Handler, error) {
	h, ok := m.handlers[d]
	if ok {
		return h, nil
	}
	for k := range m.handlers {
		if k.Name == d.Name && k.Version == d.Version {
			return h, &Error{Code: Invalid, RPC: d, Message: fmt.Sprintf("called as %v, served as %v", d.Kind, k.Kind)}
		}
	}
	if m.unknown.covers(d.Name) {
		return Handler{Description: d, Call: m.unknown.Call}, nil
	}
	if vs := m.served[d.Name]; len(vs) > 0 {
		return h, &Error{Code: Unserved, RPC: d, Message: fmt.Sprintf("served: %v", vs)}
	}
	return h, &Error{Code: NoResponder, RPC: d, Message: "nobody serves this name"}
}

// A callee is the responder's record of one call.
type callee interface {
	description() Description
	callID() string      // in the logs of both sides
	incoming() *Incoming // what the handler has asked for; nil if it has not
}

// call runs the handler of c, whose record is by, and names itself in what comes
// back.
func (m *mux) call(ctx context.Context, c Call, by callee) (Reply, error) {
	c.received = true
	r, err := m.run(ctx, c, by)
	md := r.Metadata
	if in := by.incoming(); in != nil {
		in.pass(md)
		md = in.Reply
	}
	r.Info = Info{RPC: c.Description, Instance: m.instance, Metadata: md}
	if err == nil {
		err = checkMetadata(c.Description, md, true)
	}
	if err == nil {
		err = checkSize(c.Description, "an answer", len(r.First), true)
	}
	if err != nil {
		return Reply{Info: r.Info}, m.said(err, c.Description, by.callID())
	}
	if r.Updates != nil {
		r.Updates = m.updates(ctx, by, r.Updates)
	}
	return r, nil
}

func (m *mux) run(ctx context.Context, c Call, by callee) (r Reply, err error) {
	defer func() { m.recovered(recover(), c.Description, by, &err) }()
	h, err := m.find(c.Description)
	if err != nil {
		return Reply{}, err
	}
	if c.ContentType != "" && c.ContentType != ContentTypeJSON && h.ContentType != "" && c.ContentType != h.ContentType {
		return Reply{}, &Error{
			Code: Undecodable, RPC: c.Description,
			Message: fmt.Sprintf("the query is %s; served is %s, and %s", c.ContentType, h.ContentType, ContentTypeJSON),
		}
	}
	if r, err = h.Call(ctx, c); err != nil {
		err = named(c.Description, err)
	}
	return r, err
}

// named returns err as an Error. To ask an error for its text is to call its
// program, so it is done where a panic is recovered.
func named(d Description, err error) *Error {
	e, ok := err.(*Error)
	if !ok {
		return EncodeError(d, nil, err).(*Error)
	}
	if e.Message == "" && e.Err != nil {
		c := *e
		c.Message = c.Err.Error()
		return &c
	}
	return e
}

// said turns whatever a handler or its middleware returned into an Error of this
// instance, which has the text of its cause but not the cause: that does not
// travel. What came from further away, through a proxy, keeps its speaker.
func (m *mux) said(err error, d Description, id string) error {
	c := *named(d, err)
	c.RPC, c.Err = d, nil
	if c.Instance == "" {
		c.Instance, c.CallID = m.instance, id
	}
	return &c
}
