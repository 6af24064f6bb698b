// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// ClientOptions are for one process; the zero value works.
type ClientOptions struct {
	Prefix     string       // of all RPC names, such as "acme"; default none
	Middleware []Middleware // the first sees a call first

	// Feeds is a connection of its own for the feeds that callers share; default
	// the client's. A broker closes the connection of a process that does not take
	// its messages, and a busy feed whose frames wait in front of answers delays
	// them: where feeds are busy, give them a connection that calls do not need.
	Feeds *nats.Conn

	// AnyConn takes the connection whatever its options are. Without it NewClient
	// refuses those that can lose or repeat calls, by name; see [Connect].
	AnyConn bool
}

// A Client calls the responders on a NATS connection. Its methods may be used
// concurrently. Clients made from it by With… share its inbox, its menu and its
// end.
type Client struct {
	box      *mailbox
	prefix   string
	instance string
	routes   *routes // of this prefix and instance
	call     CallFunc
	opts     ClientOptions
	err      error // why every call fails; nil
}

// NewClient returns a client on nc, which stays the caller's. It subscribes at
// its first call. Where nc or the options are not usable every call says so.
func NewClient(nc *nats.Conn, o ClientOptions) *Client {
	err := checkConn(nc, o.AnyConn)
	if err != nil {
		return &Client{err: err}
	}
	cl := newClient(transport.Over(nc), o)
	if o.Feeds != nil {
		if err := checkConn(o.Feeds, o.AnyConn); err != nil {
			return &Client{err: err}
		}
		cl.box.feedConn = transport.Over(o.Feeds)
	}
	return cl
}

func newClient(conn transport.Conn, o ClientOptions) *Client {
	cl := &Client{box: newMailbox(conn), prefix: o.Prefix, opts: o}
	return cl.with(o.Prefix, "")
}

// with returns a client of another place to call.
func (cl *Client) with(prefix, instance string) *Client {
	if cl.err != nil {
		return cl
	}
	c := *cl
	c.prefix, c.instance, c.routes = prefix, instance, &routes{m: map[Description]*route{}}
	if prefix != "" {
		if what := checkTokens(prefix); what != "" {
			c.err = &Error{Code: Invalid, Message: fmt.Sprintf("prefix %q: %s", prefix, what)}
		}
	}
	if instance != "" {
		if err := checkID(instance); err != nil {
			c.err = &Error{Code: Invalid, Message: "instance: " + err.Error()}
		}
	}
	c.call = chain(c.send, c.opts.Middleware)
	return &c
}

// WithPrefix returns a client of the responders under another prefix.
func (cl *Client) WithPrefix(prefix string) *Client { return cl.with(prefix, cl.instance) }

// WithInstance returns a client that calls one instance, as named by an [Info]
// or a menu. Where that instance is gone calls fail with [NoResponder].
func (cl *Client) WithInstance(id string) *Client { return cl.with(cl.prefix, id) }

// At is [Client.WithInstance] for those who know a [Caller] only.
func (cl *Client) At(instance string) Caller { return cl.WithInstance(instance) }

// Call sends c and waits for the first value of its reply, if it has one.
// Updates may be read until ctx is done.
func (cl *Client) Call(ctx context.Context, c Call) (Reply, error) {
	if cl.err != nil {
		return Reply{}, cl.err
	}
	c.received = false // it may come from a proxy's caller
	return cl.call(ctx, c)
}

// Served implements [Caller]. The first question about a name waits for the
// fleet's answers, at most a second where nobody answers; later ones are
// answered from what is known, which is asked for again in the background.
func (cl *Client) Served(ctx context.Context, name string) ([]int, error) {
	if cl.err != nil {
		return nil, cl.err
	}
	if what := checkTokens(name); what != "" {
		return nil, &Error{Code: Invalid, RPC: Description{Name: name}, Message: fmt.Sprintf("name %q: %s", name, what)}
	}
	return cl.box.served(ctx, wire.FullName(cl.prefix, name), cl.instance)
}

// Instances returns the ids of the responders that answer within a moment,
// sorted, whatever they serve.
func (cl *Client) Instances(ctx context.Context) ([]string, error) {
	if cl.err != nil {
		return nil, cl.err
	}
	return cl.box.instances(ctx, wire.FullName(cl.prefix, MenuDescription.Name))
}

// Dropped returns how many messages were dropped because they made no sense, by
// reason.
func (cl *Client) Dropped() map[string]uint64 {
	if cl.err != nil {
		return nil
	}
	return cl.box.drops.all()
}

// Close ends the client and all that were made from it: calls in progress fail,
// the subscription ends, and the client's goroutines have returned when Close
// does. The connection stays open.
func (cl *Client) Close() error {
	if cl.err != nil {
		return nil
	}
	return cl.box.close()
}

func (cl *Client) subject(d Description) string {
	name := wire.FullName(cl.prefix, d.Name)
	if cl.instance != "" {
		return wire.InstanceSubject(cl.instance, name, d.Version)
	}
	return wire.RequestSubject(name, d.Version)
}

// retryUntaken is how long to wait after the broker said that nobody is
// subscribed, or a responder that it is leaving: the word of a subscription may
// be on its way between servers, or that of its end. Who serves the RPC may be
// about to reconnect as we did; its announcement ends the wait.
var retryUntaken = [...]time.Duration{5 * time.Millisecond, 20 * time.Millisecond}

// send carries out one call. It is sent again only where it certainly was not
// carried out, or may be carried out twice.
func (cl *Client) send(ctx context.Context, c Call) (Reply, error) {
	route, err := cl.route(c.Description)
	if err != nil {
		return Reply{}, err
	}
	if err := checkQuery(c); err != nil {
		return Reply{}, err
	}
	how := attempt{route: route}
	r, err := cl.attempts(ctx, c, &how)
	e, ok := err.(*Error)
	if ok && e.Code == Busy {
		cl.box.troubles.add(troubleBusy, c.Description, e.Instance, "call", e.CallID)
	}
	if ok && how.silent && !e.MayHaveRun {
		both := *e // which speaks of the second attempt alone
		both.MayHaveRun = true
		return r, &both
	}
	return r, err
}

// attempts sends c until it is decided; how says what went before.
func (cl *Client) attempts(ctx context.Context, c Call, how *attempt) (Reply, error) {
	route := how.route
	for {
		if err := cl.absent(ctx, route.subject, c.Description); err != nil {
			return Reply{}, err
		}
		if err := cl.box.ready(ctx, c.Description); err != nil {
			return Reply{}, err
		}
		how.now = cl.box.now()
		r, err := cl.box.attempt(ctx, c, *how)
		e, ok := err.(*Error)
		switch {
		case !ok:
			return r, err
		case cl.untaken(e) && how.untaken < len(retryUntaken):
			var came <-chan struct{}
			switch {
			case e.Err == errLeft:
				cl.box.avoid(route.subject)
			case e.Err == errUnheard && cl.instance == "":
				came = cl.box.awaits(route.name, c.Version)
			}
			if !rest(ctx, retryUntaken[how.untaken], came) {
				return Reply{}, notSent(contextError(ctx, c.Description))
			}
			how.untaken++
		case e.Err == errUnheard, e.Err == errLeft:
			served, err := cl.explain(ctx, c.Description)
			if !served || how.explained {
				return Reply{}, err
			}
			how.explained = true
		case e.Err == errSilent && !how.silent:
			how.silent, how.since = true, how.now
		case e.Err == errAged && !how.fresh:
			how.fresh = true
		case e.Err == errNoFeed && !how.private:
			how.private = true
		case e.Err == errOldFeed && how.old < maxOldFeeds:
			how.old++
			how.private = how.old == maxOldFeeds
		default:
			return r, err
		}
		cl.box.troubles.add(troubleRetried, c.Description, e.Instance, "call", e.CallID, "why", e.again())
	}
}

// again says why a call that ended with e is sent again.
func (e *Error) again() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Message
}

// maxOldFeeds is how many feeds that do not go on behind their state are believed
// before a stream is asked for that nobody shares.
const maxOldFeeds = 3

// untaken reports whether another responder may take the call that ended so: it
// reached none, or one that is leaving.
func (cl *Client) untaken(e *Error) bool {
	return e.Err == errUnheard || e.Err == errLeft || e.Code == Draining && !e.MayHaveRun && cl.instance == ""
}

// explain says why nobody received a call, and whether somebody would now.
func (cl *Client) explain(ctx context.Context, d Description) (served bool, _ error) {
	if cl.instance != "" {
		return false, &Error{Code: NoResponder, RPC: d, Message: "instance " + cl.instance + " is not there (any more)"}
	}
	name := wire.FullName(cl.prefix, d.Name)
	cl.box.forget(name)
	again := cl.box.awaits(name, d.Version) // before asking, so that nobody comes in between
	versions, err := cl.box.askOne(ctx, name)
	if err != nil {
		return false, &Error{Code: NoResponder, RPC: d, Err: err, Again: again, Message: "nobody serves this version; which are served is not known: " + err.Error()}
	}
	return slices.Contains(versions, d.Version), unserved(d, name, versions, again)
}

// unserved is the error of calling a version of name that is not among those
// which are served.
func unserved(d Description, name string, versions []int, again <-chan struct{}) error {
	if len(versions) == 0 {
		return &Error{Code: NoResponder, RPC: d, Again: again, Message: "nobody serves " + name + " now, at any version"}
	}
	return &Error{Code: Unserved, RPC: d, Again: again, Message: fmt.Sprintf("called at version %d, served: %v", d.Version, versions)}
}

// rest waits for d, or until somebody came: then only as long as it takes that not
// all who wait for the same ask at once. It reports whether ctx is still in force.
func rest(ctx context.Context, d time.Duration, came <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-came:
		return sleep(ctx, rand.N(retryUntaken[0]))
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
