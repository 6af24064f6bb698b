// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
)

// How long a schedule's parts take, of virtual time, and the bounds that it
// checks. Recovery is the longest wait between two attempts of a durable stream,
// after which one attempt succeeds, with the silence before it.
const (
	recovery = 10*time.Second + flow.SilenceBound + 2*time.Second
	ending   = 15 * time.Second // of a call once nothing breaks any more
)

// A Report counts what happened in one schedule or several.
type Report struct {
	Schedules      int
	Scales         [len(scales)]int // schedules, by scale
	Calls, Failed  int              // queries made, those that ended with an error
	Updates, Whole int              // of pipes: updates read, pipes read to their end
	States         int              // states and updates of followers that were checked
	Lost, Resumed  int              // streams of followers
	Faults         int
	Stops, Jumps   int // of them: processes that were stopped, clocks that jumped
	Renewals       int // sources that took the place of others
	Upgrades       int // responders that were replaced by one with the next versions
	Overlaps       int // moments with responders of the old version alone and of the new one alone
	Aged           int // requests that were too old when they came
	Blocked        int // times that somebody waited for a full socket
	Shared         int // streams that were read through a shared feed
	Slow           int // connections that a broker cut because it held too much for them
	Messages       int
	Recovery       time.Duration    // the longest until a follower was up to date after the last fault
	Release        time.Duration    // the longest that somebody who was left alone had something of one who died
	Unheard        time.Duration    // the same, of one whose broker knew
	Empty          time.Duration    // the longest until nothing was held any more after everybody had left
	Queued, Behind int              // most bytes that one reader was behind, of a stream and of a feed
	OnWay          int64            // most bytes on their way to one client
	Values, Kept   int64            // most bytes of a client's values and larger windows, of a responder's feeds
	Near           time.Duration    // the longest call of the caller that nothing happens to
	Codes          map[bus.Code]int // of calls that failed
}

// Add adds what another schedule had.
func (r *Report) Add(o Report) {
	r.Schedules += o.Schedules
	for i, n := range o.Scales {
		r.Scales[i] += n
	}
	r.Calls += o.Calls
	r.Failed += o.Failed
	r.Updates += o.Updates
	r.Whole += o.Whole
	r.States += o.States
	r.Lost += o.Lost
	r.Resumed += o.Resumed
	r.Faults += o.Faults
	r.Stops += o.Stops
	r.Jumps += o.Jumps
	r.Upgrades += o.Upgrades
	r.Renewals += o.Renewals
	r.Overlaps += o.Overlaps
	r.Aged += o.Aged
	r.Blocked += o.Blocked
	r.Shared += o.Shared
	r.Slow += o.Slow
	r.Messages += o.Messages
	r.Recovery = max(r.Recovery, o.Recovery)
	r.Release = max(r.Release, o.Release)
	r.Unheard = max(r.Unheard, o.Unheard)
	r.Empty = max(r.Empty, o.Empty)
	r.Queued = max(r.Queued, o.Queued)
	r.Behind = max(r.Behind, o.Behind)
	r.OnWay = max(r.OnWay, o.OnWay)
	r.Values = max(r.Values, o.Values)
	r.Kept = max(r.Kept, o.Kept)
	r.Near = max(r.Near, o.Near)
	if r.Codes == nil {
		r.Codes = map[bus.Code]int{}
	}
	for code, n := range o.Codes {
		r.Codes[code] += n
	}
}

// Row returns the columns of the table in docs/reliability.md: schedules (of each
// scale), faults (processes stopped, clocks moved), calls, pipes read whole, states
// checked, streams lost and resumed, the longest recovery and release, broken
// promises.
func (r Report) Row(broken int) string {
	return fmt.Sprintf("%d (%d, %d, %d, %d) | %d (%d, %d) | %d | %d | %d | %d, %d | %.1f s | %.1f s | %d",
		r.Schedules, r.Scales[tiny], r.Scales[small], r.Scales[middle], r.Scales[large], r.Faults, r.Stops, r.Jumps, r.Calls, r.Whole, r.States, r.Lost, r.Resumed, r.Recovery.Seconds(), r.Release.Seconds(), broken)
}

// A Result is what became of one schedule.
type Result struct {
	Report
	Failures []string // promises that were broken; none is well
	trace    *trace
}

// Trace writes all events, a line for each.
func (r Result) Trace(to io.Writer) { r.trace.last(to, 1<<62) }

// Before writes the n events before the first promise was broken, and it.
func (r Result) Before(to io.Writer, n int) { r.trace.before(to, n) }

// Sum is equal for equal traces.
func (r Result) Sum() uint64 { return r.trace.sum() }

// A world is all that takes part in one schedule.
type world struct {
	dice   dice
	scale  scale
	net    brokers
	trace  *trace
	oracle *oracle
	delay  delays
	pause  time.Duration // between two calls, at most
	nodes  int

	restart  func(lasts time.Duration) error // of the only broker, which happens to everybody; nil: it never does
	restarts uint64

	publish    sync.Mutex // guards the fields below
	book       book
	past       []change // the newest, up to book
	before     []book   // each of them
	publishers []*source
	backlog    int

	over       atomic.Bool // the storm is: everybody reads at once
	neighbour  *caller
	callers    []*caller
	responders []*responder
	home       *responder
	pings      time.Duration // after which a broker gives up who is stopped; 0 is never
	named      atomic.Int64
	upgrades   int
	renewals   int
	all        []*responder   // that there ever were
	others     sync.WaitGroup // the ends of processes
	changed    sync.Mutex     // guards callers, responders and all
}

// brokersMost is how many there are in a schedule, at most.
const brokersMost = 3

// Run plays the schedule of a seed. It must be called inside a synctest bubble,
// all of whose goroutines have ended when it returns.
func Run(seed uint64) Result { return schedule(seed, brokersMost, simulated) }

// simulated returns the network of w. A short one's brokers hold little.
func simulated(w *world, short bool) brokers {
	n := newNetwork(w.dice, w.nodes, w.delay, w.trace)
	if short {
		n.pending, n.payload = 300<<10, 256<<10 // as nats-server wants it, the second is less
	}
	return n
}

// RunAlone is Run with one broker. In half of the schedules it may restart; then
// nothing is said of those that nothing happens to.
func RunAlone(seed uint64) Result {
	return schedule(seed, 1, func(w *world, short bool) brokers {
		n := simulated(w, short).(*network)
		n.common = true
		if w.mayRestart() {
			w.restart = n.restart
		}
		return n
	})
}

// mayRestart draws whether the only broker does.
func (w *world) mayRestart() bool { return w.dice.of("restarts").below(2) == 0 }

func schedule(seed uint64, most int, connect func(w *world, short bool) brokers) Result {
	d := dice(mixed(seed))
	r := d.of("world").rand()
	w := &world{dice: d, scale: scales[scaled(d)], trace: newTrace(), pause: between(r, 200*time.Millisecond, 4*time.Second)}
	w.nodes = min(1+r.IntN(w.scale.nodes), most)
	w.oracle = newOracle(w.trace)
	w.backlog = []int{0, 20, 1000}[r.IntN(3)]
	if onceIn(r, 2) {
		w.pings = between(r, 500*time.Millisecond, 5*time.Second)
	}
	w.delay = delays{least: 20 * time.Microsecond, most: between(r, 50*time.Microsecond, 20*time.Millisecond)}
	if onceIn(r, 2) {
		w.delay.late, w.delay.latest = 50, between(r, 10*time.Millisecond, 3*time.Second)
	}
	w.net = connect(w, onceIn(r, 4))
	w.play(r)
	w.oracle.report.Schedules = 1
	w.oracle.report.Scales[scaled(d)] = 1
	return Result{Report: w.oracle.report, Failures: w.oracle.failures, trace: w.trace}
}

func (w *world) play(r *rand.Rand) {
	steady := delays{least: w.delay.least, most: w.delay.most, safe: true}
	for range pasts {
		w.change(w.dice.of("past").rand())
	}
	home := w.serve("home", 0, steady, w.versions(r)...)
	for range 1 + r.IntN(w.scale.responders) {
		w.join(r)
	}
	neighbour := w.call("neighbour", 0, steady)
	w.home, w.neighbour = home, neighbour
	if w.restart == nil {
		neighbour.work.Go(func() { neighbour.visit(home) })
		neighbour.work.Go(func() { neighbour.stay(home) })
	}
	for range 1 + r.IntN(w.scale.callers) {
		w.arrive(r)
	}
	ctx, stop := context.WithCancel(context.Background())
	var ticking sync.WaitGroup
	ticking.Go(func() { w.tick(ctx, w.dice.of("truth").rand()) })
	ticking.Go(func() { w.watch(ctx) })

	w.storm(r)
	w.over.Store(true)
	w.others.Wait()
	w.catchUp()
	w.recover()
	stop()
	ticking.Wait()
	w.calmed()
	w.settled()
	w.leave(neighbour, home)
}

// versions draws those of the family that a responder serves.
func (w *world) versions(r *rand.Rand) []int { return [][]int{{1}, {1, 2}, {2}}[r.IntN(3)] }

// name returns a name for a new process.
func (w *world) name(kind string) string {
	return fmt.Sprint(kind, w.named.Add(1))
}

// join adds a responder.
func (w *world) join(r *rand.Rand) *responder {
	return w.enlist(w.serve(w.name("responder"), r.IntN(w.nodes), w.delay, w.versions(r)...))
}

// enlist has a responder take part in the storm.
func (w *world) enlist(p *responder) *responder {
	w.changed.Lock()
	defer w.changed.Unlock()
	w.responders = append(w.responders, p)
	return p
}

// arrive adds a caller.
func (w *world) arrive(r *rand.Rand) {
	d := w.delay
	d.room = []int{0, 8 << 10, 64 << 10}[w.dice.of("room").below(3)]
	c := w.call(w.name("caller"), r.IntN(w.nodes), d)
	c.start()
	w.changed.Lock()
	defer w.changed.Unlock()
	w.callers = append(w.callers, c)
}

// tick changes the shared state, at all of its sources.
func (w *world) tick(ctx context.Context, r *rand.Rand) {
	for wait(ctx, between(r, time.Millisecond, time.Duration(w.scale.ticks)*time.Millisecond)) {
		count := 1
		if onceIn(r, 20) {
			count = r.IntN(w.scale.changes)
		}
		for range count {
			w.change(r)
		}
	}
}

// pasts is how many changes a new source may know of those before it.
const pasts = 32

// change is one change of the shared state.
func (w *world) change(r *rand.Rand) {
	w.publish.Lock()
	defer w.publish.Unlock()
	c := change{N: w.book.N + 1, By: r.Uint64(), Pad: pad(w.size(r) / 8)}
	w.past, w.before = append(w.past, c), append(w.before, w.book)
	if len(w.past) > pasts {
		w.past, w.before = w.past[1:], w.before[1:]
	}
	w.book = apply(w.book, c)
	w.oracle.mu.Lock()
	w.oracle.truth = append(w.oracle.truth, w.book.Sum)
	w.oracle.mu.Unlock()
	for _, p := range w.publishers {
		p.publish(c)
	}
}

// count changes the report.
func (w *world) count(how func(*Report)) {
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	how(&w.oracle.report)
}
