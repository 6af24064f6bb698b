// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
)

// A callerSpec is what a caller is told.
type callerSpec struct {
	ID            int
	User          string
	URL           string
	Rate          int // calls a second
	Pipes, States int
}

// A report is one line of what a caller says.
type report struct {
	Ready  bool     `json:",omitempty"`
	Tick   *tick    `json:",omitempty"`
	Failed *failure `json:",omitempty"`
	Ended  *ending  `json:",omitempty"` // of a pipe
	Hole   *hole    `json:",omitempty"`
	Broken string   `json:",omitempty"` // a promise
}

// A tick is how a caller fares, four times a second.
type tick struct {
	Calls    uint64    // begun so far: the number of the last
	Open     int       // calls
	Oldest   time.Time // of these
	Pipes    int       // open
	Walked   uint64    // pipes that were read to their end
	Steps    uint64    // of pipes, so far
	Entries  uint64    // of states, so far
	Live     int       // states
	Stalest  time.Time // when the oldest news of a state was made
	Answered time.Time // when a call was last answered
}

// A failure is a call that failed.
type failure struct {
	Caller       int `json:"-"` // the conductor knows
	N            uint64
	Version      int
	Code         bus.Code
	MayHaveRun   bool
	Message      string
	Begin, Ended time.Time
}

// An ending is a pipe that ended with an error, or could not be opened.
type ending struct {
	Code bus.Code
	At   time.Time
}

// A hole is a time in which a state had no news.
type hole struct {
	Caller   int       `json:"-"` // the conductor knows
	From, To time.Time // the last news before it and the first after
	Code     bus.Code  // of the loss; "" if the stream went on
	Topic    int
	Anew     bool     // a fresh state came
	Tried    []string // the first attempts that failed, and when
}

// maxOpen bounds the calls of one caller: an open load is not without end.
const maxOpen = 5000

// A caller is one process of callers, at one place.
type caller struct {
	spec   callerSpec
	client *bus.Client

	out sync.Mutex // one line at a time

	mu   sync.Mutex // guards the fields below
	open map[uint64]time.Time
	last uint64
	when time.Time // a call was last answered

	pipes                  atomic.Int64
	walked, steps, entries atomic.Uint64
	states                 []*follower
}

// beCaller loads its place until it gets SIGTERM, waits for what is under way
// then, and says a last word.
func beCaller(text []byte) error {
	spec, err := decode[callerSpec](text)
	if err != nil {
		return err
	}
	life, die := context.WithCancel(context.Background())
	defer die()
	go func() { // as long as the process lives
		<-untilInputEnds()
		die()
	}()
	load, stop := signal.NotifyContext(life, syscall.SIGTERM)
	defer stop()
	nc, err := bus.Connect(spec.URL, nats.UserInfo(spec.User, spec.User), nats.CustomInboxPrefix("_INBOX."+spec.User), nats.DontRandomize(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // calls tell of their own
	if err != nil {
		return err
	}
	defer nc.Close()
	c := &caller{spec: spec, client: bus.NewClient(nc, bus.ClientOptions{}), open: map[uint64]time.Time{}}
	if err := c.reach(load); err != nil {
		return err
	}
	var work, calls sync.WaitGroup
	for i := range spec.States {
		f := &follower{caller: c, topic: i % topics}
		c.states = append(c.states, f)
		work.Go(func() { f.follow(load, i%2 == 0, i/2%2 == 0) })
	}
	for i := range spec.Pipes {
		work.Go(func() { c.walkOn(load, uint64(spec.ID)<<32|uint64(i)<<16) })
	}
	work.Go(func() { c.callOn(load, life, &calls) })
	work.Go(func() { c.tickOn(load) })
	c.say(report{Ready: true})
	work.Wait()
	calls.Wait()
	c.tick()
	return c.client.Close()
}

// reach returns when a call is answered: interest takes its time through gateways.
func (c *caller) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if _, err := againRPC.Client(c.client)(ctx, job{Caller: c.spec.ID}); err == nil || ctx.Err() != nil {
			return err
		}
	}
}

func (c *caller) say(r report) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err) // of plain fields
	}
	c.out.Lock()
	defer c.out.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n')) // nobody listens any more: standard input ends too
}

func (c *caller) broken(format string, args ...any) {
	c.say(report{Broken: fmt.Sprintf("caller %d: ", c.spec.ID) + fmt.Sprintf(format, args...)})
}

func (c *caller) tickOn(ctx context.Context) {
	for every := time.NewTicker(250 * time.Millisecond); ; {
		c.tick()
		select {
		case <-every.C:
		case <-ctx.Done():
			every.Stop()
			return
		}
	}
}

func (c *caller) tick() {
	t := tick{Pipes: int(c.pipes.Load()), Walked: c.walked.Load(), Steps: c.steps.Load(), Entries: c.entries.Load(), Stalest: time.Now()}
	for _, f := range c.states {
		live, made := f.news()
		if live {
			t.Live++
		}
		if made.Before(t.Stalest) {
			t.Stalest = made
		}
	}
	c.mu.Lock()
	t.Calls, t.Open, t.Answered = c.last, len(c.open), c.when
	for _, begun := range c.open {
		if t.Oldest.IsZero() || begun.Before(t.Oldest) {
			t.Oldest = begun
		}
	}
	c.mu.Unlock()
	c.say(report{Tick: &t})
}

// callOn begins calls at a rate, whatever becomes of those before.
func (c *caller) callOn(ctx, life context.Context, calls *sync.WaitGroup) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	for last := uint64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		due := uint64(time.Since(begun).Seconds() * float64(c.spec.Rate))
		for n := last + 1; n <= due; n++ {
			if c.begin(n) {
				calls.Go(func() { c.call(life, n) })
			}
		}
		last = due
	}
}

// begin notes a call. It reports whether there is room for it.
func (c *caller) begin(n uint64) bool {
	c.mu.Lock()
	room := len(c.open) < maxOpen
	if c.last = n; room {
		c.open[n] = time.Now()
	}
	c.mu.Unlock()
	if !room {
		c.say(report{Failed: &failure{N: n, Code: "not begun: too many are open", Begin: time.Now(), Ended: time.Now()}})
	}
	return room
}

// jobOf is the nth call: most are short, some last, some are long, some may run
// twice.
func (c *caller) jobOf(n uint64) (j job, version int, patience time.Duration) {
	j = job{Caller: c.spec.ID, N: n, Answer: 64, Pad: pad(n, 64)}
	switch {
	case n%64 == 7:
		j.Work = 1500 * time.Millisecond
	case n%16 == 5:
		j.Work = 40 * time.Millisecond
	case n%100 == 50:
		j.Answer, j.Pad = 40<<10, pad(n, 40<<10) // in pieces
	}
	if version = onceRPC.Version; n%4 == 3 {
		version = againRPC.Version
	}
	if n%2 == 0 {
		patience = 5 * time.Second
		j.Deadline = time.Now().Add(patience).UnixNano()
	}
	return j, version, patience
}

// call makes one call and holds its answer against what was asked.
func (c *caller) call(ctx context.Context, n uint64) {
	j, version, patience := c.jobOf(n)
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, time.Unix(0, j.Deadline))
		defer cancel()
	}
	f := onceRPC.Client(c.client)
	if version == againRPC.Version {
		f = againRPC.Client(c.client)
	}
	begin := time.Now()
	r, err := f(ctx, j)
	ended := time.Now()
	c.mu.Lock()
	delete(c.open, n)
	if err == nil {
		c.when = ended
	}
	c.mu.Unlock()
	if err == nil {
		if r.Caller != j.Caller || r.N != n || string(r.Pad) != string(pad(n, j.Answer)) {
			c.broken("the answer to call %d is that to %d of caller %d, with %d bytes", n, r.N, r.Caller, len(r.Pad))
		}
		return
	}
	e, ok := errors.AsType[*bus.Error](err)
	if !ok {
		c.broken("call %d ended with an error without a code: %v", n, err)
		return
	}
	c.say(report{Failed: &failure{c.spec.ID, n, version, e.Code, e.MayHaveRun, e.Message, begin, ended}})
}
