// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"strings"

	"github.com/durabus/durabus/internal/micro"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// An Unknown answers the calls of names and versions, below one name, that no
// handler of its service lists: a proxy for what is not known beforehand, or a
// log of who still asks for what is gone. The calls are of any kind, raw, and
// behind the service's middleware. They are on no menu, so that families do not
// choose them, but for those that the service's Menu adds.
//
// The name must be the service's own. The broker gives a request to one of all
// who listen to it: a responder that serves a name below Under without this
// Unknown would lose some of its calls to it.
type Unknown struct {
	Under string   // such as "legacy", for legacy.orders.v1; behind the service's prefix
	Call  CallFunc // nil is no Unknown
}

// check refuses what would listen to more than names below one.
func (u Unknown) check() error {
	if u.Call == nil {
		return nil
	}
	if what := checkTokens(u.Under); what != "" {
		return &Error{Code: Invalid, Message: fmt.Sprintf("a service's Unknown.Under %q: %s", u.Under, what)}
	}
	return nil
}

func (u Unknown) covers(name string) bool {
	return u.Call != nil && strings.HasPrefix(name, u.Under+".")
}

func (s *Server) unknownSubject() string {
	return wire.FullName(s.svc.Prefix, s.svc.Unknown.Under) + ".>"
}

// unknownRequest takes a message with requests below the name of the service's Unknown, which
// may be for one of its handlers all the same.
func (in *intake) unknownRequest(m transport.Msg) {
	s := in.srv
	name, version, ok := wire.ParseRequestSubject(m.Subject)
	if !ok {
		s.drops.add(dropMalformed, "subject", m.Subject)
		return
	}
	in.named(name, version, m)
}

// named takes a message with requests for the name and version of its subject.
func (in *intake) named(fullName string, version int, m transport.Msg) {
	p, err := in.srv.pointOf(fullName, version, m)
	if err != nil {
		in.srv.refuse(m.Reply, 0, err)
		return
	}
	in.request(p, m)
}

// pointOf returns the endpoint of a request: a handler's or, for one that is not
// known, one of its own whose figures are those of all such. Its error is for what
// is for nobody here.
func (s *Server) pointOf(fullName string, version int, m transport.Msg) (*endpoint, error) {
	d := Description{Name: fullName, Version: version, Kind: Unary}
	if p := s.byName[d.String()]; p != nil {
		return p, nil
	}
	nobody := &Error{Code: NoResponder, RPC: Description{Name: fullName, Version: version}, Message: "not served by this instance"}
	for _, p := range s.points {
		if wire.FullName(s.svc.Prefix, p.Name) == fullName {
			nobody.Code = Unserved
		}
	}
	if s.svc.Prefix != "" {
		name, own := strings.CutPrefix(fullName, s.svc.Prefix+".")
		if !own { // of an instance that others may call by other names
			return nil, nobody
		}
		d.Name = name
	}
	if !s.svc.Unknown.covers(d.Name) {
		return nil, nobody
	}
	if o, err := firstOpen(m.Data); err == nil && len(m.Header[contentTypeHeader]) == 0 {
		d.Kind = kindOf(o)
	}
	if err := checkDescription(d); err != nil {
		return nil, err
	}
	return &endpoint{Description: d, counters: s.unknown}, nil
}

// unknownEndpoint is how the NATS tools see it.
func (s *Server) unknownEndpoint() micro.Endpoint {
	return micro.Endpoint{Name: "unknown", Subject: s.unknownSubject(), QueueGroup: queueGroup}
}
