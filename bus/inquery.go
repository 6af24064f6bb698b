// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/wire"
)

// queryWindow is how much of a long query may be on its way.
const queryWindow = 1 << 20

// An inQuery puts a query in pieces together; nil is that of a call that has none. Its call has not started, so
// whatever goes wrong with it leaves a retry safe.
type inQuery struct {
	mu     sync.Mutex // guards the fields below
	open   bool
	total  uint64
	value  flow.Value
	recv   flow.Receiver
	expect time.Duration // when the next piece must be there
}

// awaitQuery accepts a call whose query of total bytes is to come.
func (j *job) awaitQuery(total uint64) {
	s, q := j.srv, new(inQuery)
	if !s.queries.take(total) {
		s.unenter(j)
		j.reject(&Error{Code: Busy, RPC: j.point.Description, Message: fmt.Sprintf("no room for a query of %d bytes: others are being received", total)})
		return
	}
	q.mu.Lock()
	q.open, q.total, q.expect = true, total, s.now()+flow.DeadAfter
	q.recv.Window = flow.NewWindow(queryWindow, queryWindow, 0)
	q.value.Begin(total, nil)
	credit := q.recv.Window.Granted()
	q.mu.Unlock()
	j.query = q
	j.accepted.Store(true)
	frame := j.accept(credit)
	j.sess.sent(j.sess.publishFirst(j.reply, frame.Append(nil)))
	if s.ctx.Err() != nil { // cutShort may have looked before
		q.leave(j)
	}
}

// leave ends a call whose query is not whole because the responder is leaving.
func (q *inQuery) leave(j *job) {
	q.fail(j, &Error{Code: Draining, RPC: j.point.Description, Message: "the responder is leaving, and the query was not whole"})
}

// piece takes the next piece, and starts the call with the last.
func (q *inQuery) piece(j *job, f *wire.Chunk) {
	if q == nil { // the query came with the request
		j.srv.drops.add(dropLate, "rpc", j.point.Description, "peer", j.sess.client, "call", j.id)
		return
	}
	q.mu.Lock()
	if !q.open {
		q.mu.Unlock()
		j.srv.drops.add(dropLate, "rpc", j.point.Description, "peer", j.sess.client, "call", j.id)
		return
	}
	cost := flow.Cost(len(f.Data))
	if v := q.recv.Frame(f.Seq, cost); v != flow.Deliver || !q.value.Add(f.Data) {
		q.mu.Unlock()
		q.fail(j, &Error{Code: Lost, RPC: j.point.Description, Message: fmt.Sprintf("piece %d of the query: %v", f.Seq, v)})
		return
	}
	q.expect = j.srv.now() + flow.DeadAfter
	var credit uint64
	if q.recv.Window.Release(cost) {
		credit = q.recv.Window.Grant()
	}
	query, whole := q.value.Take()
	late := whole && j.ctx.past()
	q.open = !whole || late
	q.mu.Unlock()
	switch {
	case late:
		q.fail(j, &Error{Code: Expired, RPC: j.point.Description, Message: "the query was not whole before the deadline"})
		return
	case whole:
		j.call.Query = query
		j.srv.run(j.sess, j.srv.now(), j)
		return
	}
	if credit > 0 {
		j.sess.sent(j.sess.publish(wire.Credit{Call: j.id, Total: credit}.Append(nil)))
	}
}

// fail ends a call whose query will not be whole.
func (q *inQuery) fail(j *job, err error) {
	if q == nil {
		return
	}
	q.mu.Lock()
	open := q.open
	q.open, q.value = false, flow.Value{}
	q.mu.Unlock()
	if !open {
		return
	}
	j.srv.unenter(j)
	j.sess.drop(j)
	j.srv.queries.put(q.total)
	if j.silent.Load() {
		j.reply = ""
	}
	j.reject(err)
}

// ticked ends a query that does not come.
func (q *inQuery) ticked(j *job, now time.Duration) {
	if q == nil {
		return
	}
	q.mu.Lock()
	late := q.open && now > q.expect
	q.mu.Unlock()
	if late {
		q.fail(j, &Error{Code: Gone, RPC: j.point.Description, Message: "the rest of the query did not come"})
	}
}
