// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// A caller is a process that calls.
type caller struct {
	world  *world
	name   string
	dice   dice
	conn   link
	client *bus.Client
	ctx    context.Context // of the process
	quit   context.CancelFunc
	resume bool // its durable streams do
	work   sync.WaitGroup
	books  []*follower
}

// A follower keeps up with the shared state.
type follower struct {
	name string
	at   atomic.Uint64 // the number of the state it holds
	live atomic.Bool
}

func (w *world) call(name string, node int, d delays) *caller {
	c := &caller{world: w, name: name, dice: w.dice.of(name), conn: w.net.dial(name, node, d)}
	c.client = bus.NewClient(c.conn.bus(), bus.ClientOptions{AnyConn: true})
	c.ctx, c.quit = context.WithCancel(context.Background())
	c.resume = c.dice.of("resume").below(3) > 0
	return c
}

// workloads is how many kinds [caller.start] has.
const workloads = 12

// start begins the workloads.
func (c *caller) start() {
	for name, work := range map[string]func(*rand.Rand){
		"add":   func(r *rand.Rand) { c.ask(r, "add", addRPC.Client(c.client), false) },
		"get":   func(r *rand.Rand) { c.ask(r, "get", getRPC.Client(c.client), true) },
		"quote": func(r *rand.Rand) { c.ask(r, "quote", quotes.Client(c.client), false, 1, 2) },
		"old":   func(r *rand.Rand) { c.ask(r, "old quote", oldQuotes(c.client), false, 1) },
		"new":   func(r *rand.Rand) { c.ask(r, "new quote", quote2RPC.Client(c.client), false, 2) },
		"none":  c.miss,
		"tape":  c.play,
		"tapes": c.play,
		"burst": c.burst,
		"tell":  c.tell,
		"peek":  c.peek,
		"list":  func(r *rand.Rand) { c.read(r, "list", listRPC.Client(c.client)) },
	} {
		if c.dice.of("has "+name).below(workloads) >= c.world.scale.works {
			continue
		}
		c.work.Go(func() {
			r := c.dice.of(name).rand()
			for c.conn.wait(c.ctx, between(r, time.Millisecond, c.world.pause)) {
				work(r)
			}
		})
	}
	for n := range 1 + c.dice.of("books").below(uint64(c.world.scale.books)) {
		f := &follower{name: fmt.Sprint(c.name, " book ", n)}
		c.books = append(c.books, f)
		c.work.Go(func() { c.keep(f, bookRPC, c.dice.of(f.name).rand()) })
	}
	c.work.Go(func() { c.listen(&follower{name: c.name + " feed"}, feedRPC) })
	c.share()
}

// stop ends the workloads and waits for them.
func (c *caller) stop() {
	c.quit()
	c.work.Wait()
}

// close ends the process.
func (c *caller) close() {
	c.stop()
	if err := c.client.Close(); err != nil && !c.conn.isDead() {
		c.world.oracle.broken("I5", "%s does not close: %v", c.name, err)
	}
	c.conn.leave()
}

// limit returns a context for one call.
func (c *caller) limit(timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(c.ctx)
	}
	return context.WithTimeout(c.ctx, timeout)
}

// timeout draws one; 0 is none.
func timeout(r *rand.Rand) time.Duration {
	if onceIn(r, 2) {
		return 0
	}
	return between(r, 5*time.Millisecond, 5*time.Second)
}

func (c *caller) query(r *rand.Rand, of *call) query {
	q := query{Call: of.id, Caller: c.name, Size: c.world.size(r), Pad: pad(c.world.size(r))}
	if onceIn(r, 3) {
		q.Takes = between(r, time.Millisecond, 2*time.Second)
	}
	return q
}

func (c *caller) ask(r *rand.Rand, what string, f unaryrpc.Func[query, answer], again bool, versions ...int) error {
	o := c.world.oracle
	of := o.begin(c.name, what, again, timeout(r))
	ctx, cancel := c.limit(of.timeout)
	defer cancel()
	a, err := f(ctx, c.query(r, of))
	o.end(of, err)
	c.wanted(of, err, versions...)
	if err == nil && a.Call != of.id {
		o.broken("I3", "%s %d was answered with %d", what, of.id, a.Call)
	}
	return err
}

// burst makes calls that share messages.
func (c *caller) burst(r *rand.Rand) {
	var calls sync.WaitGroup
	for n := range 2 + r.IntN(c.world.scale.burst) {
		own := c.dice.of("burst").nth(r.Uint64() + uint64(n)).rand()
		calls.Go(func() { c.ask(own, "add", addRPC.Client(c.client), false) })
	}
	calls.Wait()
}

func (c *caller) tell(r *rand.Rand) {
	of := c.world.oracle.begin(c.name, "tell", false, 0)
	err := tellRPC.Client(c.client)(c.ctx, c.query(r, of))
	c.world.oracle.end(of, err)
	c.wanted(of, err)
}

// read reads a pipe, to its end or a part of it, at its own pace.
func (c *caller) read(r *rand.Rand, what string, f piperpc.Func[query, item]) {
	o := c.world.oracle
	of := o.begin(c.name, what, false, timeout(r))
	ctx, cancel := c.limit(of.timeout)
	defer cancel()
	q := c.query(r, of)
	q.Count, q.Fails = r.IntN(80), onceIn(r, 5)
	q.Takes /= 40
	leaves, slow := -1, time.Duration(0)
	if onceIn(r, 4) {
		leaves = r.IntN(100)
	}
	if onceIn(r, 3) {
		slow = between(r, time.Microsecond, 50*time.Millisecond)
	}
	if onceIn(r, 16) { // more than may be on its way, and too slow for it
		q.Count, q.Size, q.Takes, slow = 60, 32<<10, 0, between(r, 10*time.Millisecond, 100*time.Millisecond)
		if onceIn(r, 2) { // and than may ever be, with a reader who leaves
			q.Count, leaves = 400, 1+r.IntN(60)
		}
	}
	of.size = q.Size
	updates, err := f(ctx, q)
	if err != nil {
		o.end(of, err)
		c.wanted(of, err)
		return
	}
	of.late = slow > 0
	run, got := 0, 0
	for u, failed := range updates {
		if err = failed; err != nil {
			break
		}
		got++
		o.read(of, u, &run, got)
		if got == leaves {
			o.end(of, nil)
			return
		}
		if slow > 0 {
			c.conn.wait(c.ctx, slow)
		}
	}
	o.end(of, err)
	if err == nil {
		o.complete(of, run, got)
	}
}

// keep follows the shared state.
func (c *caller) keep(f *follower, rpc staterpc.RPC[int, book, change], r *rand.Rand) {
	o := c.world.oracle
	lazy := onceIn(r, 4)
	var b book
	var info *bus.Info
	lost := true // what comes now has no state before it
	for ev := range durable.State(c.ctx, rpc.Client(c.client), 0, durable.Policy{Resume: c.resume}) {
		o.trace.note(f.name, ev.Kind.String(), ev.Err)
		switch ev.Kind {
		case durable.Connected:
			info = ev.Info
		case durable.Snapshot:
			b, lost = ev.State, false
			o.at(f.name, info.Epoch, info.Position, b.N, true)
		case durable.Resumed:
			info, lost = ev.Info, false
			position, exact := info.Reached()
			o.at(f.name, info.Epoch, position, b.N, exact)
			o.mu.Lock()
			o.report.Resumed++
			o.mu.Unlock()
		case durable.Update:
			switch {
			case lost:
				o.broken("I2", "%s got an update behind a stream that was lost: %v", f.name, ev.Err)
			case ev.Err != nil:
				o.broken("I2", "%s was told of an update that is missing: %v", f.name, ev.Err)
			case ev.Update.N != b.N+1:
				o.broken("I2", "%s got update %d after %d", f.name, ev.Update.N, b.N)
			}
			b = apply(b, ev.Update)
			position, exact := info.Reached()
			o.at(f.name, info.Epoch, position, b.N, exact)
		case durable.Lost:
			lost = true
			o.mu.Lock()
			o.report.Lost++
			o.mu.Unlock()
		}
		f.live.Store(ev.Kind == durable.Snapshot || ev.Kind == durable.Update || ev.Kind == durable.Resumed)
		if f.live.Load() {
			o.holds(f.name, b)
			f.at.Store(b.N)
		}
		if lazy && onceIn(r, 20) && !c.world.over.Load() {
			c.conn.wait(c.ctx, between(r, time.Millisecond, time.Second))
		}
	}
}

// listen follows the updates of the shared state alone.
func (c *caller) listen(f *follower, rpc piperpc.RPC[int, change]) {
	o := c.world.oracle
	last := uint64(0) // 0: some may be missing
	for ev := range durable.Pipe(c.ctx, rpc.Client(c.client), 0, durable.Policy{Resume: c.resume}) {
		o.trace.note(f.name, ev.Kind.String(), ev.Err)
		switch {
		case ev.Kind == durable.Connected:
			last = 0
		case ev.Kind == durable.Update && ev.Err == nil:
			if last != 0 && ev.Update.N != last+1 {
				o.broken("I1", "%s got update %d after %d", f.name, ev.Update.N, last)
			}
			last = ev.Update.N
		}
	}
}

// peek follows the shared state for a moment: it comes and goes while others
// publish, and read the same feed.
func (c *caller) peek(r *rand.Rand) {
	o, name, left := c.world.oracle, c.name+" peek", r.IntN(5)
	ctx, cancel := c.limit(between(r, time.Millisecond, 2*time.Second))
	defer cancel()
	rpc := sharedBookRPC
	if onceIn(r, 4) {
		rpc = bookRPC
	}
	b, updates, err := rpc.Client(c.client)(ctx, 0)
	if err != nil {
		return
	}
	o.holds(name, b)
	for u, err := range updates {
		if err != nil {
			return
		}
		if u.N != b.N+1 {
			o.broken("I2", "%s got update %d after %d", name, u.N, b.N)
		}
		b = apply(b, u)
		if o.holds(name, b); left == 0 {
			return
		}
		left--
	}
}
