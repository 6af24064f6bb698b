// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/durabus/durabus/bus"
)

// An oracle knows what was asked and what was done, and holds it against what
// the callers are told.
type oracle struct {
	trace *trace

	mu       sync.Mutex // guards the fields below
	calls    map[uint64]*call
	running  map[[2]string]int // handlers, by caller and responder
	truth    []uint64          // the sum of the shared state after each update
	bases    map[string]uint64
	failures []string
	report   Report
	tapes    []*run // of shared pipes
}

// A call is one query, with all that is known of it.
type call struct {
	id      uint64
	caller  string
	what    string
	again   bool // it is idempotent
	began   time.Time
	timeout time.Duration
	size    int // of an update of its, at least
	ended   bool
	late    bool // its reader comes when it likes
	never   bool // the caller was told that it did not run
	runs    []*run
}

// A run is one handler's.
type run struct {
	made  int  // updates that were yielded
	whole bool // it came to its end without an error
}

func newOracle(t *trace) *oracle {
	return &oracle{
		trace: t, calls: map[uint64]*call{}, running: map[[2]string]int{},
		truth: []uint64{0}, bases: map[string]uint64{}, report: Report{Codes: map[bus.Code]int{}},
	}
}

// fail notes that a promise was broken. The caller holds mu.
func (o *oracle) fail(promise, format string, args ...any) {
	text := promise + ": " + fmt.Sprintf(format, args...)
	o.failures = append(o.failures, text)
	o.trace.note("oracle", broken, text)
}

// broken is fail for who does not hold mu.
func (o *oracle) broken(promise, format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail(promise, format, args...)
}

// begin notes a call that is about to be made.
func (o *oracle) begin(caller, what string, again bool, timeout time.Duration) *call {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &call{id: uint64(len(o.calls) + 1), caller: caller, what: what, again: again, began: time.Now(), timeout: timeout}
	o.calls[c.id] = c
	o.report.Calls++
	o.trace.note(caller, "calls", what, c.id)
	return c
}

// end notes what the caller of c was told.
func (o *oracle) end(c *call, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.ended = true
	o.trace.note(c.caller, "is told", c.id, err)
	if err == nil {
		return
	}
	o.report.Failed++
	e, ok := errors.AsType[*bus.Error](err)
	if !ok {
		o.fail("I3", "%s %d ended with %T: %v", c.what, c.id, err, err)
		return
	}
	if c.timeout > 0 && !c.late && time.Since(c.began) > c.timeout {
		o.fail("I3", "%s %d ended after %v, with %v to go: %v", c.what, c.id, time.Since(c.began), c.timeout, err)
	}
	if e.Code == bus.Expired && !c.late && (c.timeout == 0 || time.Since(c.began) < c.timeout) {
		o.fail("I3", "%s %d was too old after %v, of %v: %v", c.what, c.id, time.Since(c.began), c.timeout, err)
	}
	o.report.Codes[e.Code]++
	c.never = !e.MayHaveRun
	if c.never && len(c.runs) > 0 {
		o.fail("I3", "%s %d ran, and its caller was told that it did not: %v", c.what, c.id, err)
	}
}

// starts notes that a handler began; done is to be called when it returns.
func (o *oracle) starts(ctx context.Context, by *responder, q query) (r *run, n int, done func()) {
	id, caller, responder := q.Call, q.Caller, by.name
	request, known := by.requests.of(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.calls[id]
	if c == nil {
		o.fail("I3", "a handler of %s began for a call %d that nobody made", responder, id)
		return &run{}, 0, func() {}
	}
	r = &run{}
	c.runs = append(c.runs, r)
	o.trace.note(responder, "runs", c.what, id)
	if len(c.runs) > 1 && !c.again {
		o.fail("I3", "%s %d ran %d times", c.what, id, len(c.runs))
	}
	if c.never {
		o.fail("I3", "%s %d runs, and its caller was told that it did not", c.what, id)
	}
	switch {
	case !known:
	case request == nil:
		o.fail("I3", "%s %d runs, and its request did not come", c.what, id)
	case request.expired:
		o.fail("I3", "%s %d runs, and its request was %v old when it came, with %v to go", c.what, id, request.age, request.timeout)
	case request.timeout > 0 && time.Since(request.came) >= request.timeout:
		o.fail("I3", "%s %d runs, %v after its request came, with %v to go", c.what, id, time.Since(request.came), request.timeout)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		o.fail("I3", "%s %d runs after its deadline", c.what, id)
	}
	o.running[[2]string{caller, responder}]++
	return r, len(c.runs), func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running[[2]string{caller, responder}]--
	}
}

// made notes that run r is about to yield, or that it came to its end.
func (o *oracle) made(r *run, whole bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if whole {
		r.whole = true
	} else {
		r.made++
	}
}

// read checks the next update of a pipe.
func (o *oracle) read(c *call, u item, of *int, next int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.report.Updates++
	if *of == 0 {
		*of = u.Run
	}
	switch {
	case u.Call != c.id || u.Run != *of || u.Run < 1 || u.Run > len(c.runs):
		o.fail("I1", "the reader of %s %d, run %d, got an update of %d, run %d", c.what, c.id, *of, u.Call, u.Run)
	case u.N != next:
		o.fail("I1", "the reader of %s %d got update %d, after %d", c.what, c.id, u.N, next-1)
	case u.N > c.runs[u.Run-1].made:
		o.fail("I1", "the reader of %s %d got update %d of %d", c.what, c.id, u.N, c.runs[u.Run-1].made)
	case (c.runs[u.Run-1].made-u.N)*c.size > largest+batch+value:
		o.fail("I4", "the reader of %s %d has update %d, and its handler made %d, each of %d bytes", c.what, c.id, u.N, c.runs[u.Run-1].made, c.size)
	}
}

// complete checks a pipe that ended without an error.
func (o *oracle) complete(c *call, of, got int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.report.Whole++
	for i, r := range c.runs {
		if r.whole && r.made == got && (of == 0 || of == i+1) {
			return
		}
	}
	o.fail("I1", "%s %d ended well after %d updates of run %d", c.what, c.id, got, of)
}

// holds checks a follower's state.
func (o *oracle) holds(who string, b book) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.report.States++
	if b.N >= uint64(len(o.truth)) || o.truth[b.N] != b.Sum {
		o.fail("I2", "%s holds a state that never was, at %d: %x", who, b.N, b.Sum)
	}
}

// at checks that a position of a source stands for the same state for everybody, or
// for none behind it if it is not exact.
func (o *oracle) at(who, epoch string, position, n uint64, exact bool) {
	if epoch == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	base, known := o.bases[epoch]
	switch {
	case !known && exact:
		o.bases[epoch] = n - position
	case known && (exact && base+position != n || base+position > n):
		o.fail("I2", "%s is told position %d, which is state %d, and holds %d; exact: %v", who, position, base+position, n, exact)
	}
}

// latest returns the number of the newest state.
func (o *oracle) latest() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return uint64(len(o.truth) - 1)
}

// open returns the calls that have not ended and began before a moment.
func (o *oracle) open(before time.Time) (open []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		if !c.ended && c.began.Before(before) {
			open = append(open, fmt.Sprintf("%s %d, begun at %v", c.what, c.id, c.began.Sub(o.trace.begin)))
		}
	}
	return open
}

// handlers counts those that a responder runs for a caller.
func (o *oracle) handlers(caller, responder string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.running[[2]string{caller, responder}]
}
