// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// An outStream is the sending end of one call's frames. The handler's goroutine
// encodes updates straight into the batch, and the outbox, or the handler itself
// when a batch is full, publishes it. What is under way is never more than one
// batch and one update beyond the reader's credit.
//
// Order: sealed frames, then the batch, then the end. sendMu is taken before mu.
type outStream struct {
	job       *job
	queued    atomic.Bool
	published atomic.Uint64 // number of the last frame whose publishing returned

	sendMu sync.Mutex // held while publishing, so that messages leave in order

	mu       sync.Mutex // guards the fields below
	send     flow.Sender
	room     int         // bytes of payload in a message
	batch    *wire.Batch // in which updates gather; nil while none do
	sealed   []byte      // complete frames
	opening  *request    // whose Accept sealed begins with: send it there, with our address; nil
	unsent   *outMsg     // could not be published: to be sent first
	source   *Source     // of the updates; nil if nobody asks where they stand
	waited   uint32      // for which credit, to be told with the next frame
	ending   *streamEnd  // to be sent behind all else; nil
	encoding bool        // a codec is at it, called by who holds mu
	waiter   *waiter     // of the goroutine that waited; nil until one does
}

// A streamEnd is how a stream ends: cleanly, if err is nil.
type streamEnd struct{ err error }

// A waiter is what a stream's goroutine has once it has waited for its reader.
type waiter struct {
	wake    chan struct{}
	stalled *time.Timer
	spare   []byte // the last update that did not fit
}

// An outMsg is a message that is ready to leave.
type outMsg struct {
	data    []byte
	last    uint64 // number of its last frame
	opening *request
	batch   *wire.Batch // that data is a part of; nil
}

func (s *outStream) init(j *job, credit uint64) {
	s.job = j
	s.send.Credit.Grant(credit)
	s.measure()
}

// measure learns how large messages may be, which each connection says anew.
func (s *outStream) measure() {
	room := payloadRoom(s.job.srv.conn.MaxPayload())
	s.mu.Lock()
	s.room = room
	s.mu.Unlock()
}

func (s *outStream) waiting() *atomic.Bool { return &s.queued }

func (s *outStream) wakeUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiter != nil {
		signal(s.waiter.wake)
	}
}

// awaited has the goroutine that is about to wait woken by all that changes from
// now on. s.mu is held.
func (s *outStream) awaited() *waiter {
	if s.waiter == nil {
		s.waiter = &waiter{wake: make(chan struct{}, 1)}
	}
	return s.waiter
}

// soon has the outbox publish what has gathered, unless it is about to.
func (s *outStream) soon() {
	if !s.queued.Load() {
		s.job.srv.out.add(s)
	}
}

// grant takes stream credit.
func (s *outStream) grant(total uint64) {
	s.mu.Lock()
	ok := s.send.Credit.Grant(total)
	held := s.gathered() > 0
	s.mu.Unlock()
	if !ok {
		s.job.srv.drops.add(dropCredit, "rpc", s.job.point.Description, "peer", s.job.peer(), "call", s.job.callID())
	}
	if held {
		s.soon()
	}
	s.wakeUp()
}

// begin sends the first value: at once if the request allows for it, else piece
// by piece as credit comes.
func (s *outStream) begin(r Reply) error {
	j := s.job
	first := wire.First{Call: j.id, Metadata: r.Metadata, Epoch: j.epoch, Position: j.position, Feed: j.feed}
	if !j.ctx.source.WantsState() {
		first.Resumed, r.First = true, nil
	}
	long := j.long(r)
	if long {
		first.Total = uint64(len(r.First))
	} else {
		first.Data = r.First
	}
	var accept []byte
	if !j.accepted.Swap(true) {
		accept = j.accept(0).Append(nil) // without the lock: if the call is to end, this wakes us
	}
	s.mu.Lock()
	s.source = j.ctx.source
	if accept != nil {
		s.sealed, s.opening = accept, j.request
	}
	first.Seq = s.send.Next(0)
	s.sealed = first.Append(s.sealed)
	s.mu.Unlock()
	// Not from this goroutine, which may sleep for long now: publishing would
	// leave it a stack of twice the size.
	s.soon()
	if long {
		return s.pieces(&j.ctx, r.First, 0, 0)
	}
	return nil
}

// push sends one update. It waits while the reader has no room for it. Whether the
// call is over it asks at the first and the last update of each message, as a look
// at a context costs as much as writing a short update.
func (s *outStream) push(ctx context.Context, e Element) error {
	if !s.queued.Load() && ctx.Err() != nil {
		return contextError(ctx, s.job.point.Description)
	}
	s.mu.Lock()
	b := s.gathering()
	s.encoding = true
	err := e.addTo(b)
	s.encoding = false
	if err != nil {
		s.mu.Unlock()
		return s.job.srv.mux.unencodable(err, s.job)
	}
	size := b.Size()
	if size > min(chunkSize, s.room) || !s.send.Credit.Fits(flow.Cost(size)) {
		return s.pushSlowly(ctx, b)
	}
	s.mu.Unlock()
	if size < batchSize {
		s.soon()
		return nil
	}
	return s.full(ctx)
}

// pushLater adds an update when there is room and credit for it.
func (s *outStream) pushLater(ctx context.Context, data []byte) error {
	s.soon()
	return s.wait(ctx, func() bool {
		b := s.gathering()
		size := b.SizeWith(len(data))
		switch {
		case !s.send.Credit.Fits(flow.Cost(size)):
			s.waited |= wire.BlockedOnStream
		case size <= s.room:
			b.AppendBytes(data)
			return true
		}
		return false
	})
}

// pushLong sends an update that is too long for one frame.
func (s *outStream) pushLong(ctx context.Context, data []byte) error {
	if err := checkSize(s.job.point.Description, "an update", len(data), true); err != nil {
		return err
	}
	return s.pieces(ctx, data, uint64(len(data)), 1)
}

// pieces sends a value in Chunks. total is set in the first of an update, which
// counts as one.
func (s *outStream) pieces(ctx context.Context, data []byte, total uint64, updates int) error {
	size := min(pieceSize, payloadRoom(s.job.srv.conn.MaxPayload()))
	var spare [2][]byte // one is filled while the other is published
	for n := 0; len(data) > 0; n++ {
		piece := data[:min(size, len(data))]
		err := s.wait(ctx, func() bool {
			return s.seal(flow.Cost(len(piece)), updates, func(seq uint64, blocked uint32) {
				if s.sealed == nil {
					s.sealed = spare[n%2]
				}
				if len(piece) == len(data) {
					s.job.answered() // before it leaves: who has it may call again at once
				}
				s.sealed = wire.Chunk{Call: s.job.id, Seq: seq, Blocked: blocked, Total: total, Data: piece}.Append(s.sealed)
				spare[n%2] = s.sealed[:0]
			})
		})
		if err != nil {
			return err
		}
		s.flush()
		data, total, updates = data[len(piece):], 0, 0
	}
	return nil
}

// fault sends word of an update that could not be converted.
func (s *outStream) fault(ctx context.Context, err error) error {
	w := toWire(err)
	w.Message = faultText(w.Message)
	e := s.wait(ctx, func() bool {
		return s.seal(flow.Cost(len(w.Message)), 1, func(seq uint64, _ uint32) {
			s.sealed = wire.Fault{Call: s.job.id, Seq: seq, Error: w}.Append(s.sealed)
		})
	})
	if e == nil {
		s.soon()
	}
	return e
}

// faultText cuts the text of a fault. The wire knows no other bytes, and both
// ends must count the same.
func faultText(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), envelope)], "")
}

// seal adds a frame that costs cost behind all that came before it. It reports
// false if that has not left yet or there is no credit. s.mu is held.
func (s *outStream) seal(cost uint64, updates int, add func(seq uint64, blocked uint32)) bool {
	switch {
	case s.gathered() > 0 || len(s.sealed) > 0 && (s.opening == nil || s.send.Seq() > 1): // one goes with the first
		s.soon()
		return false
	case !s.send.Credit.Fits(cost):
		s.waited |= wire.BlockedOnStream
		return false
	case !s.payPeer(cost):
		return false
	}
	seq, _ := s.send.Pay(cost, updates)
	if updates > 0 {
		s.source.owe()
	}
	add(seq, s.waited)
	s.waited = 0
	return true
}

// payPeer takes peer credit, or has us woken when there is more. s.mu is held.
func (s *outStream) payPeer(cost uint64) bool {
	if s.job.sess.pay(cost, s) {
		return true
	}
	s.waited |= wire.BlockedOnPeer
	return false
}

// wait waits until cond holds, which is called with s.mu held.
func (s *outStream) wait(ctx context.Context, cond func() bool) error {
	s.mu.Lock()
	ok := cond()
	var w *waiter
	if !ok {
		w = s.awaited()
	}
	s.mu.Unlock()
	if ok {
		return nil
	}
	counters := s.job.point.counters
	counters.Blocked()
	defer counters.Unblocked()
	stall := s.job.srv.svc.MaxStall
	w.expect(stall)
	defer w.stalled.Stop()
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return contextError(ctx, s.job.point.Description)
		case <-w.stalled.C:
			return s.stalledFor(stall)
		}
		s.mu.Lock()
		ok := cond()
		s.mu.Unlock()
		if ok {
			return nil
		}
	}
}

// expect has w.stalled tell when nothing was taken for so long.
func (w *waiter) expect(stall time.Duration) {
	if w.stalled == nil {
		w.stalled = time.NewTimer(stall)
	} else {
		w.stalled.Reset(stall)
	}
}

func (s *outStream) stalledFor(stall time.Duration) error {
	return &Error{
		Code: Stalled, RPC: s.job.point.Description, MayHaveRun: true,
		Message: fmt.Sprintf("the reader took nothing for %v", stall),
	}
}

// flush publishes what has gathered, as far as the peer's credit goes.
func (s *outStream) flush() {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	j := s.job
	for j.srv.conn.Connected() && !j.silent.Load() {
		s.mu.Lock()
		m, ok := s.take()
		s.mu.Unlock()
		if !ok {
			return
		}
		var err error
		if m.opening != nil {
			err = j.sess.publishFirst(m.opening.reply, m.data)
		} else {
			err = j.sess.publish(m.data)
		}
		if err != nil {
			s.unpublished(m, err)
		}
		if m.batch != nil {
			m.batch.Reset()
			batches.Put(m.batch)
		}
		if err != nil {
			return
		}
		s.published.Store(m.last)
		s.wakeUp()
	}
}

// take returns the next message, with whose batch the caller is done when it was
// sent. s.mu is held.
func (s *outStream) take() (m outMsg, ok bool) {
	switch {
	case s.unsent != nil:
		m, s.unsent = *s.unsent, nil
	case len(s.sealed) > 0:
		m = outMsg{data: s.sealed, last: s.send.Seq(), opening: s.opening}
		s.sealed, s.opening = nil, nil
	case s.gathered() > 0 || s.owesPosition():
		b := s.gathering()
		cost := flow.Cost(b.Size())
		if !s.send.Credit.Fits(cost) { // one update, which waits for it
			s.waited |= wire.BlockedOnStream
			return m, false
		}
		if !s.payPeer(cost) {
			return m, false
		}
		seq, _ := s.send.Pay(cost, b.Count())
		s.job.point.counters.Sent(b.Count())
		before, last := s.source.stamp()
		m = outMsg{data: b.Packet(wire.Data{Call: s.job.id, Seq: seq, Before: before, Last: last, Blocked: s.waited}), last: seq, batch: b}
		s.waited, s.batch = 0, nil
	case s.ending != nil:
		seq, count, _ := s.send.End()
		end := wire.End{Call: s.job.id, Seq: seq, Count: count}
		if s.ending.err != nil {
			end.Error = toWire(s.ending.err)
		}
		m = outMsg{data: end.Append(nil), last: seq}
		s.ending = nil
	default:
		return m, false
	}
	return m, true
}

// owesPosition reports whether a frame without updates is due that tells where
// the stream stands. s.mu is held.
func (s *outStream) owesPosition() bool {
	return s.ending == nil && s.source.owes() && s.send.Credit.Fits(flow.Cost(0))
}

// unpublished keeps a message for when the connection is back. What the broker
// would not take at all leaves a gap that the reader sees.
func (s *outStream) unpublished(m outMsg, err error) {
	if errors.Is(err, transport.ErrNotConnected) {
		m.data, m.batch = slices.Clone(m.data), nil
		s.mu.Lock()
		s.unsent = &m
		s.mu.Unlock()
		return
	}
	s.job.srv.drops.add(dropSend, "rpc", s.job.point.Description, "peer", s.job.peer(), "call", s.job.callID(), "error", err)
	s.job.ctx.end(Lost)
	s.wakeUp()
}
