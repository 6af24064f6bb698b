// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// acceptAfter is when a caller that has not been answered hears that somebody
// has its call.
const acceptAfter = 25 * time.Millisecond

// A job is the responder's end of one call: from the request to the last frame.
type job struct {
	*request // nil of a stream that has begun
	srv      *Server
	sess     *session // nil for plain requests
	point    *endpoint
	id       uint64
	started  time.Duration
	ctx      jobContext // of the handler
	out      *outStream // of all but short answers; made under ctx.mu, before others find the job
	query    *inQuery   // in pieces; nil if it came with the request
	told     uint64     // what the last heartbeat said was published; the session's

	accepted atomic.Bool // the caller knows that we have it
	silent   atomic.Bool // nobody is there to hear more
	counted  bool        // it is one of the calls that have not been answered; its goroutine's
	plain    bool        // the caller knows nothing of packets
	direct   bool        // it was sent to this instance
	shared   bool        // its updates may come on a feed

	// The session's:
	dropped  bool // it is over
	returned bool // its handler has
}

// A request is what matters of a call until it is answered or its stream begins.
type request struct {
	reply  string // of its message
	call   Call
	allow  int    // bytes of first value that may go without credit
	credit uint64 // of the stream
	queued *job   // the next in the workers' queue

	epoch    string // of the source where the stream begins
	position uint64
	feed     string // the token of the feed that its updates come on

	// The session's:
	due        time.Duration
	prev, next *job // of those that are neither answered nor accepted
}

func (s *Server) newJob(p *endpoint, o *wire.Open, m *transport.Msg, now time.Duration) *job {
	j := newRecord(p.Kind)
	j.srv, j.point, j.id, j.started, j.direct = s, p, o.Call, now, strings.HasPrefix(m.Subject, wire.Root+".")
	*j.request = request{
		reply: m.Reply, allow: int(min(o.Allow, firstAllow)), credit: o.Credit,
		call: Call{Description: p.Description, Query: o.Query, ContentType: o.ContentType, Metadata: o.Metadata},
	}
	j.ctx.job, j.ctx.metadata = j, o.Metadata
	if o.TimeoutUS > 0 {
		left := microseconds(o.TimeoutUS)
		j.ctx.expires = now + min(left, math.MaxInt64-now)
	}
	if p.Kind.Streams() {
		j.makeOut()
		j.shared = s.wantsFeed(j, o)
		j.ctx.source = &Source{epoch: o.Epoch, after: o.Position, soon: j.out.soon}
	}
	return j
}

// newRecord returns a job with its request, of which a stream lets go.
func newRecord(kind Kind) *job {
	if kind.Streams() {
		return &job{request: new(request)}
	}
	both := new(struct {
		job
		request
	})
	both.job.request = &both.request
	return &both.job
}

// makeOut makes what more than a short answer needs.
func (j *job) makeOut() {
	j.ctx.mu.Lock()
	defer j.ctx.mu.Unlock()
	if j.out == nil {
		out := new(outStream)
		out.init(j, j.credit)
		j.out = out
	}
}

func (j *job) description() Description { return j.point.Description }

func (j *job) incoming() *Incoming { return j.ctx.incoming() }

func (j *job) callID() string {
	if j.sess == nil {
		return "plain"
	}
	return callID(j.sess.client, j.id)
}

// peer is the caller; "" if it knows nothing of packets.
func (j *job) peer() string {
	if j.sess == nil {
		return ""
	}
	return j.sess.client
}

// reject answers a call that was not admitted.
func (j *job) reject(err error) {
	j.ctx.end(nil)
	e := j.srv.mux.said(err, j.point.Description, "").(*Error)
	j.point.counters.Verdict(string(e.Code), e.Message, j.srv.now()-j.started)
	if e.Code == Busy {
		j.srv.troubles.add(troubleBusy, j.point.Description, j.peer(), "call", j.callID(), "why", e.Message)
	}
	switch {
	case j.reply == "":
	case j.plain:
		j.srv.sendError(j.reply, nil, e)
	default:
		j.srv.refuse(j.reply, j.id, e)
	}
}

// run carries the call out and answers it. It returns when the handler was done.
func (j *job) run() time.Duration {
	returned, streams := false, false
	defer func() {
		if !returned {
			j.exited()
		}
		if !streams {
			j.over()
		}
	}()
	r, err := j.carryOut()
	returned = true
	if e, ok := err.(*Error); ok {
		j.blame(e)
	}
	if err == nil && j.point.Kind.Streams() && j.feed == "" {
		err = j.locate()
	}
	now := j.verdict(err)
	short := err != nil || j.point.Kind != Unary || j.plain || !j.long(r)
	if err == nil && j.point.Kind == Unary && !j.plain && short && !j.silent.Load() {
		j.sess.answer(j, r, now)
		return now
	}
	if short { // else it holds its answer for as long as the caller takes
		j.answers()
		defer j.srv.hasAnswered()
	}
	if j.sess != nil {
		j.sess.returns(j)
	}
	switch {
	case j.point.Kind == OneWay:
		if err != nil {
			j.srv.drops.add(dropNotTaken, "rpc", j.point.Description, "peer", j.peer(), "call", j.callID(), "error", err)
		}
	case j.plain:
		j.answerPlain(r, err)
	case err != nil:
		j.answerError(err)
	case j.feed != "":
		j.answerShared(r)
	case j.point.Kind.Streams():
		streams = true
		j.stream(r)
	case !j.silent.Load():
		j.answerLong(r)
	}
	return now
}

// carryOut runs the handler.
func (j *job) carryOut() (Reply, error) {
	if j.shared {
		if f, r, err := j.join(); f != nil || err != nil {
			return r, err
		}
	}
	return j.srv.mux.call(&j.ctx, j.call, j)
}

// locate learns where the stream stands in its source. A caller that wants to
// take one up gets an error, and no state, where this is another.
func (j *job) locate() error {
	var ok bool
	j.epoch, j.position, ok = j.ctx.source.begin()
	if j.epoch == "" {
		j.ctx.forgetSource()
	}
	if ok {
		return nil
	}
	return j.srv.mux.said(&Error{
		Code: Lost, MayHaveRun: true,
		Message: "the stream cannot be taken up: the updates since are not kept here (any more)",
	}, j.point.Description, j.callID())
}

// blame gives the error of a handler that was cancelled the reason for that,
// which says more. A handler that returns the reason itself may have run too:
// the word is not its own.
func (j *job) blame(e *Error) {
	cause, ok := context.Cause(&j.ctx).(Code)
	if ok && (e.Code == Canceled || e.Code == cause) {
		e.Code, e.MayHaveRun = cause, true
	}
}

// errExited is the end of a call whose handler left its goroutine by
// [runtime.Goexit], as those of tests do that fail.
var errExited = &Error{Code: Panicked, MayHaveRun: true, Message: "the handler ended its goroutine (runtime.Goexit)"}

// exited answers a call whose handler will not return.
func (j *job) exited() {
	err := j.srv.mux.said(errExited, j.point.Description, j.callID())
	j.verdict(err)
	j.answers()
	defer j.srv.hasAnswered()
	if j.sess != nil {
		j.sess.returns(j)
	}
	switch {
	case j.point.Kind == OneWay:
	case j.plain:
		j.answerPlain(Reply{}, err)
	default:
		j.answerError(err)
	}
}

// answers is before an answer that leaves by itself: it gives back the call's place
// before the caller knows, who may call again at once. Where the broker takes nothing
// as many such answers wait as there are places, and then the calls keep theirs.
func (j *job) answers() {
	j.srv.answering <- struct{}{}
	j.answered()
}

// hasAnswered is after it.
func (s *Server) hasAnswered() { <-s.answering }

// answered gives back the place that enter has given to the call.
func (j *job) answered() {
	if j.counted {
		j.counted = false
		j.srv.running.Add(-1)
	}
}

// verdict counts the call: its processing ends here. It returns the time.
func (j *job) verdict(err error) time.Duration {
	code, message := "", ""
	if e, ok := err.(*Error); ok {
		code, message = string(e.Code), e.Message
	}
	now := j.srv.now()
	j.point.counters.Verdict(code, message, now-j.started)
	return now
}

// over releases what the job held.
func (j *job) over() {
	j.ctx.end(nil)
	j.answered()
	if j.query != nil {
		j.srv.queries.put(j.query.total)
	}
	if j.sess != nil {
		j.sess.drop(j)
	}
	j.srv.left(j)
}

// abandon ends a call whose caller is gone or has cancelled it.
func (j *job) abandon(code Code) {
	if code == Gone {
		j.silent.Store(true)
	}
	j.ctx.end(code)
	j.out.wakeUp()
	j.query.fail(j, &Error{Code: code, RPC: j.point.Description})
}

// leave ends a stream because the responder is leaving.
func (j *job) leave() {
	if j.point.Kind.Streams() {
		j.ctx.end(Draining)
		j.out.wakeUp()
	}
}

// accept returns the frame that says we have the call, and joins it to the
// session, whose heartbeats it is in from now on.
func (j *job) accept(queryCredit uint64) wire.Accept {
	j.makeOut()
	j.sess.add(j)
	if j.srv.moving.Load() {
		j.leave()
	}
	return wire.Accept{
		Call: j.id, Protocol: protocolVersion, Minor: protocolMinor, Features: features,
		Instance: j.srv.instance, Credit: queryCredit, Session: j.sess.number, Used: j.sess.used(),
	}
}

// acceptLate tells a caller who waits at reply that we have its call.
func (j *job) acceptLate(reply string) {
	if j.accepted.Swap(true) {
		return
	}
	frame := j.accept(0)
	j.sess.publishFirst(reply, frame.Append(nil))
}

// long reports whether r has more of a first value than may go in one message,
// without credit.
func (j *job) long(r Reply) bool {
	return len(r.First) > min(j.allow, payloadRoom(j.srv.maxPayload())-metadataRoom(r.Metadata))
}

// answerLong sends an answer in pieces.
func (j *job) answerLong(r Reply) {
	j.makeOut()
	err := j.out.begin(r)
	if err != nil {
		err = j.srv.mux.said(err, j.point.Description, j.callID())
	}
	j.out.end(err)
	j.out.left()
}

func (j *job) answerError(err error) {
	if j.silent.Load() {
		return
	}
	e, _ := err.(*Error)
	frame := wire.End{Call: j.id, Seq: 1, Error: toWire(err)}
	j.accepted.Store(true)
	j.srv.sendError(j.reply, frame.Append(nil), e)
}

func (j *job) answerPlain(r Reply, err error) {
	if err == nil && len(r.First) > j.srv.conn.MaxPayload() {
		err = &Error{Code: TooLarge, RPC: j.point.Description, Message: fmt.Sprintf(
			"the answer has %d bytes, a message of this broker at most %d; a durabus client gets it in pieces", len(r.First), j.srv.conn.MaxPayload())}
	}
	if e, ok := err.(*Error); ok {
		j.srv.sendError(j.reply, nil, e)
		return
	}
	if err := j.srv.conn.Publish(j.reply, "", r.First); err != nil {
		j.srv.drops.add(dropSend, "rpc", j.point.Description, "error", err)
	}
}
