// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// How long and how much of a feed is kept for those who missed some, and when it
// says where it stands.
const (
	feedRing   = 1 << 20
	feedKept   = 10 * time.Second
	feedIdle   = 5 * time.Second      // without members, after which it ends
	markSoon   = 5 * time.Millisecond // between two Marks that members ask for
	feedReplay = 64 << 10             // in answer to one Join
)

// A feed is one shared stream: its pump runs the handler and encodes each update
// once, and what has gathered is published to all members at once. It waits for
// none of them. Those who missed something ask for it, and get it while the ring
// has it.
//
// sendMu is taken before mu, and mu before the lock of a session.
type feed struct {
	srv     *Server
	point   *endpoint
	key     feedKey
	token   string
	subject string
	counts  bool // the pump counts the updates: a pipe's
	source  Source
	ctx     context.Context
	cancel  context.CancelCauseFunc
	since   time.Duration // it began
	begun   chan struct{} // closed when the pump has begun, or cannot
	wanted  chan struct{} // closed when somebody joined
	queued  atomic.Bool
	last    atomic.Uint64 // position that was published

	sendMu sync.Mutex // held while publishing, so that messages leave in order

	mu      sync.Mutex // guards the fields below
	epoch   string
	at      uint64 // position of the last update, if the pump counts
	batch   wire.Batch
	places  []uint64 // positions of the elements in batch
	faults  []uint32 // which of them stand for updates that could not be converted
	ring    flow.Ring
	markDue bool
	sent    time.Duration // when something left last
	members map[*session]uint64
	idle    time.Duration // when there was somebody last
	over    bool
	end     error // what its stream ended with
}

// Reasons why a stream cannot be shared, for the log.
var (
	errNoSource  = errors.New("its updates do not come of one staterpc.Publisher on the handler's own goroutine")
	errTooLong   = errors.New("an update does not fit one message")
	errOtherFeed = errors.New("its states and its updates come of different sources")
	errNobody    = errors.New("nobody reads the feed any more")
)

// pump runs the handler until it ends, or nobody is left.
func (f *feed) pump(c Call) {
	defer f.srv.feedEnded(f)
	err := error(errExited)
	defer func() { f.stop(err) }()
	r, cause := f.start(c)
	if cause != nil {
		err = cause
		return
	}
	f.point.counters.Opened()
	defer f.point.counters.Closed()
	if age := f.srv.svc.MaxStreamAge; age > 0 {
		defer time.AfterFunc(age-rand.N(age/4+1), func() { f.cancel(Draining) }).Stop()
	}
	if cause = f.updates(r); cause != errTooLong { // which is in the batch
		f.flush()
	}
	err = cause
}

// start calls the handler, and learns where its updates begin.
func (f *feed) start(c Call) (Reply, error) {
	defer close(f.begun)
	in := &Incoming{RPC: c.Description, CallID: callID(f.token, 0), Metadata: c.Metadata, Reply: Metadata{}}
	r, err := f.srv.mux.call(WithIncoming(withSource(f.ctx, &f.source), in), c, pumpCall{localCall{in}})
	if err == nil {
		err = f.begin()
	}
	return r, err
}

// begin learns where the updates begin.
func (f *feed) begin() error {
	epoch, position, _ := f.source.begin()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch = epoch
	if f.counts {
		f.epoch, position = f.token, 0
	}
	if f.epoch == "" {
		return errNoSource
	}
	f.ring = flow.NewRing(position, feedRing)
	f.last.Store(position)
	return nil
}

// updates loops over the handler's updates. Those that the pump counts begin when
// somebody is there to have them all.
func (f *feed) updates(r Reply) error {
	if f.counts {
		select {
		case <-f.wanted:
		case <-f.ctx.Done():
			return contextError(f.ctx, f.key.Description)
		}
	}
	if r.Updates == nil {
		return nil
	}
	for e, err := range r.Updates {
		switch {
		case err == nil:
			err = f.update(e, false)
		case IsElement(err):
			err = f.update(ElementOf([]byte(faultText(toWire(err).Message))), true)
		case !EndsStream(err):
			err = nil // a Break of a stream that is passed on: nothing is missing
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// update has an update published when the source is done with it, so that a frame
// never ends between what a conversion made of one update.
func (f *feed) update(e Element, fault bool) error {
	at, clear := f.source.took()
	err := f.push(e, fault, at, clear)
	f.source.done(!f.counts && err == nil) // and so told when the update is over
	if f.counts && err == nil {
		f.soon()
	}
	switch err {
	case nil, errNoSource, errTooLong:
		return err
	}
	return f.srv.mux.unencodable(err, localCall{&Incoming{RPC: f.key.Description, CallID: callID(f.token, 0)}})
}

// encode adds an update to the batch. A codec that panics has that for its error, a
// [thrown]: f.mu is held, and nobody would recover it.
func (f *feed) encode(e Element) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &thrown{p, debug.Stack()}
		}
	}()
	return e.addTo(&f.batch)
}

// push adds an update to the batch, which comes behind position at of the source
// if that is known.
func (f *feed) push(e Element, fault bool, at uint64, clear bool) error {
	room := payloadRoom(f.srv.feedConn.MaxPayload())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts {
		at, clear = f.at, true
	}
	if !clear {
		return errNoSource
	}
	if err := f.encode(e); err != nil {
		return err
	}
	if fault {
		f.faults = append(f.faults, uint32(len(f.places)))
	}
	f.places = append(f.places, at+1)
	if f.counts {
		f.at++
	}
	if f.batch.Size()+binarySteps*len(f.places) > room || at-f.ring.Last() >= math.MaxUint32 {
		return errTooLong
	}
	return nil
}

// binarySteps is what an entry of Steps takes in a message at most.
const binarySteps = 5

// standing returns the position of the last update that is over, whether nothing
// behind it is in the batch, and whether that can be said at all. f.mu is held.
func (f *feed) standing() (position uint64, whole, clear bool) {
	if f.counts {
		return f.at, true, true
	}
	return f.source.standing()
}

// soon has the batch published: by the outbox, or here if it is full.
func (f *feed) soon() {
	f.mu.Lock()
	full := f.batch.Size() >= batchSize
	f.mu.Unlock()
	if full {
		f.flush()
		return
	}
	f.srv.feedOut.add(f)
}

func (f *feed) waiting() *atomic.Bool { return &f.queued }

// flush publishes what has gathered. Without a connection it goes to the ring
// alone.
func (f *feed) flush() {
	f.sendMu.Lock()
	defer f.sendMu.Unlock()
	f.mu.Lock()
	packet := f.take()
	f.mu.Unlock()
	if packet == nil {
		return
	}
	err := f.srv.feedConn.Publish(f.subject, "", packet)
	if err != nil && !errors.Is(err, transport.ErrNotConnected) {
		f.srv.drops.add(dropSend, "rpc", f.key.Description, "feed", f.token, "error", err)
	}
}

// take returns the next packet; nil if there is none. f.mu is held.
func (f *feed) take() []byte {
	at, whole, clear := f.standing()
	if !whole || !clear || f.over && f.batch.Count() == 0 || f.batch.Count() == 0 && !f.markDue {
		return nil
	}
	frame := wire.Feed{Before: f.ring.Last(), Last: at, Faults: f.faults, Elements: f.batch.Records()}
	frame.Steps = steps(frame.Before, f.places)
	packet := frame.Append(nil)
	now := f.srv.now()
	if frame.Last > f.ring.Last() {
		f.ring.Add(frame.Last, packet, now)
		f.last.Store(frame.Last)
	}
	f.point.counters.Sent(f.batch.Count())
	f.batch.Reset()
	f.places, f.faults = f.places[:0], f.faults[:0]
	f.markDue, f.sent = false, now
	return packet
}

// steps returns what Feed.Steps says of elements at these positions.
func steps(before uint64, places []uint64) []uint32 {
	plain := true
	for i, p := range places {
		plain = plain && p == before+uint64(i)+1
	}
	if plain {
		return nil
	}
	all := make([]uint32, len(places))
	for i, p := range places {
		all[i] = uint32(p - before)
		before = p
	}
	return all
}

// mark has the feed say where it stands, which shows those who joined that it
// reaches them.
func (f *feed) mark() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.markDue || f.over {
		return
	}
	f.markDue = true
	if wait := f.sent + markSoon - f.srv.now(); wait > 0 {
		time.AfterFunc(wait, func() { f.srv.feedOut.add(f) })
		return
	}
	f.srv.feedOut.add(f)
}
