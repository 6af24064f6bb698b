// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"strconv"
	"strings"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// receive is the inbox's callback. It must not wait: the broker closes the
// connection of one who does not take its messages.
func (b *mailbox) receive(m transport.Msg) {
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if m.NoResponders {
		if n, err := strconv.ParseUint(token, 10, 64); err == nil {
			b.unheard(n, m.Header)
		}
		return
	}
	number, err := wire.Number(m.Data)
	if err != nil {
		b.drops.add(dropMalformed, "error", err)
		return
	}
	if len(m.Data) == 0 {
		b.drops.add(dropMalformed, "subject", m.Subject, "error", "it is empty")
	}
	defer func() { b.recent = nil }()
	for rest := m.Data; ; {
		var kind wire.Kind
		var body []byte
		kind, body, rest, err = wire.Next(rest)
		switch {
		case err != nil:
			b.drops.add(dropOf(err), "error", err)
			if rest == nil {
				return
			}
			continue
		case kind == 0:
			return
		}
		if err := b.frame(kind, body, m.Reply, number, token); err != nil {
			b.drops.add(dropMalformed, "frame", kind, "error", err)
		}
	}
}

// frame hands one frame to whom it concerns.
func (b *mailbox) frame(k wire.Kind, body []byte, reply string, number uint64, token string) error {
	switch k {
	case wire.KindData:
		var f wire.Data
		if err := f.Parse(body); err != nil {
			return err
		}
		b.deliver(f.Call, f.Seq, f.Blocked, arrival{kind: k, payload: f.Elements, before: f.Before, last: f.Last, cost: flow.Cost(len(f.Elements))})
	case wire.KindChunk:
		var f wire.Chunk
		if err := f.Parse(body); err != nil {
			return err
		}
		b.deliver(f.Call, f.Seq, f.Blocked, arrival{kind: k, payload: f.Data, total: f.Total, cost: flow.Cost(len(f.Data))})
	case wire.KindFirst:
		var f wire.First
		if err := f.Parse(body); err != nil {
			return err
		}
		c := b.recent // accepted in the same message, mostly
		if c == nil || c.id != f.Call {
			c = b.find(f.Call)
		}
		if c != nil {
			c.receiveFirst(f)
		}
	case wire.KindFault:
		var f wire.Fault
		if err := f.Parse(body); err != nil {
			return err
		}
		if f.Error == nil {
			return errors.New("it does not say what is wrong with the update")
		}
		if c := b.find(f.Call); c != nil {
			fault := &ElementError{RPC: c.route.desc, Err: errors.New(f.Error.Message)}
			b.deliver(f.Call, f.Seq, 0, arrival{kind: k, err: fault, cost: flow.Cost(len(f.Error.Message))})
		}
	case wire.KindEnd:
		var f wire.End
		if err := f.Parse(body); err != nil {
			return err
		}
		if f.Error != nil && f.Error.Code == string(Draining) {
			b.forget("") // before the caller looks for somebody else
		}
		if feed := b.joined(f.Call); feed != nil {
			feed.ends(&f)
			return nil
		}
		if f.Call == 0 { // of one who could not read the message: the address tells
			b.unread(token, f)
		} else if c := b.find(f.Call); c != nil {
			c.receiveEnd(f)
		}
	case wire.KindAccept:
		f := &b.accept
		if err := f.Parse(body); err != nil {
			return err
		}
		if err := checkID(f.Instance); err != nil {
			return err
		}
		b.mu.Lock()
		b.accepted(f, reply, number)
		b.mu.Unlock()
	case wire.KindCredit:
		var f wire.Credit
		if err := f.Parse(body); err != nil {
			return err
		}
		if c := b.find(f.Call); c != nil {
			c.mayUpload(f.Total)
		}
	case wire.KindBeat:
		var f wire.Beat
		if err := errors.Join(f.Parse(body), checkBeat(&f)); err != nil {
			return err
		}
		b.heardBeat(&f, reply, number, token)
	case wire.KindReset:
		var f wire.Reset
		if err := f.Parse(body); err != nil {
			return err
		}
		if feed := b.joined(f.Call); feed != nil {
			feed.reset()
			return nil
		}
		if c := b.find(f.Call); c != nil {
			c.reset()
		}
	case wire.KindServed:
		var f wire.Served
		if err := errors.Join(f.Parse(body), checkServed(&f)); err != nil {
			return err
		}
		b.answered(token, &f)
	case wire.KindFeed:
		var f wire.Feed
		if err := f.Parse(body); err != nil {
			return err
		}
		return b.feedFrame(&f)
	default:
		b.drops.add(dropMisplaced, "frame", k)
	}
	return nil
}

// find returns the call that a frame is for.
func (b *mailbox) find(call uint64) *inCall {
	b.mu.Lock()
	c := b.calls[call]
	b.mu.Unlock()
	if c == nil {
		b.drops.add(dropLate, "call", call)
	}
	return c
}

// deliver accounts for a frame that costs credit and hands it to its reader.
// Peer credit is for what is on the way, so it is given back at once, whether or
// not anybody wants the frame.
func (b *mailbox) deliver(call, seq uint64, blocked uint32, a arrival) {
	c := b.findQuietly(call)
	if c == nil {
		b.drops.add(dropLate, "call", call)
		return
	}
	c.mu.Lock()
	p := c.peer
	c.receive(seq, blocked, a)
	c.mu.Unlock()
	if p != nil {
		p.took(a.cost, blocked&wire.BlockedOnPeer != 0)
	}
}

func (b *mailbox) findQuietly(call uint64) *inCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[call]
}

// receive judges a frame and queues it. c.mu is held.
func (c *inCall) receive(seq uint64, blocked uint32, a arrival) {
	if !c.judge(seq, a.cost) {
		return
	}
	if blocked&wire.BlockedOnStream != 0 {
		c.recv.Window.Want()
	}
	c.put(a)
}

// judge reports whether a frame is the next. c.mu is held.
func (c *inCall) judge(seq, cost uint64) bool {
	if c.err != nil || c.done {
		return false
	}
	switch v := c.recv.Frame(seq, cost); v {
	case flow.Deliver:
	case flow.Repeat, flow.Late:
		c.box.drops.add(dropRepeated, "rpc", c.route.desc, "peer", c.instance, "call", c.id, "frame", seq)
		return false
	case flow.Gap:
		c.failLocked(c.lost("frame " + strconv.FormatUint(seq, 10) + " came after " + strconv.FormatUint(c.recv.Seq(), 10)))
		return false
	default:
		c.failLocked(c.lost("the responder sent more than it had credit for"))
		return false
	}
	return true
}

func (c *inCall) receiveFirst(f wire.First) {
	c.mu.Lock()
	if c.done && c.route.desc.Kind == Unary && f.Total <= uint64(len(f.Data)) {
		c.mu.Unlock()
		c.forgetLeft()
		return
	}
	defer c.mu.Unlock()
	if c.opened && f.Seq > c.recv.Seq() { // it costs no credit, so one is all
		c.failLocked(c.lost("a first frame came where none belongs"))
		return
	}
	if len(f.Data) > firstAllow {
		c.failLocked(c.lost("the responder sent more than it had credit for"))
		return
	}
	if !c.judge(f.Seq, 0) {
		return
	}
	*c.first, c.opened = f, true
	if c.isShort() {
		c.signal()
		return
	}
	c.put(arrival{kind: wire.KindFirst, payload: f.Data, total: f.Total})
}

func (c *inCall) receiveEnd(f wire.End) {
	defer c.forgetLeft()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.done {
		return
	}
	if c.aged(&f) || c.turnedAway(&f) {
		return
	}
	if f.Seq == 0 && !c.opened { // refused before it was numbered
		f.Seq = c.recv.Seq() + 1
	}
	switch c.recv.End(f.Seq) {
	case flow.Deliver:
		c.end, c.accepted = &f, true
		c.route.taken.Store(true)
		c.verified()
		c.put(arrival{kind: wire.KindEnd})
	case flow.Gap:
		c.failLocked(c.lost("the end came, but frames before it did not"))
	default:
		c.box.drops.add(dropRepeated, "rpc", c.route.desc, "peer", c.instance, "call", c.id, "frame", f.Seq)
	}
}

// aged reports whether the responder found the request too old by its idea of
// our clock, which an attempt with a fresh idea may correct. c.mu is held.
func (c *inCall) aged(f *wire.End) bool {
	if f.Error == nil || f.Error.Code != string(Expired) || f.Error.MayHaveRun || c.accepted {
		return false
	}
	e := fromWire(f.Error, c.route.desc)
	e.Err = errAged
	c.failLocked(e)
	return true
}

// mayUpload takes credit for the pieces of a long query.
func (c *inCall) mayUpload(total uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.upload == nil || !c.upload.Grant(total) {
		c.box.drops.add(dropCredit, "rpc", c.route.desc, "peer", c.instance, "call", c.id)
		return
	}
	c.signal()
}

// accepted notes who has the call. b.mu is held.
func (b *mailbox) accepted(f *wire.Accept, reply string, number uint64) {
	c := b.calls[f.Call]
	if c == nil || c.leftUnknown() {
		if reply == "" {
			return
		}
		if f.Call > b.number.Load() {
			b.drops.add(dropLate, "call", f.Call)
			return
		}
		p := b.peerOf(f, reply, number)
		if p == nil {
			return
		}
		if len(b.calls) >= maxLeft {
			p.cancelOnce(f.Call)
			return
		}
		// It was left before anybody had it: it lives on to be cancelled.
		c = &inCall{box: b, route: new(route), id: f.Call, first: new(wire.First), done: true, accepted: true, instance: f.Instance}
		c.peer = p
		b.calls[c.id] = c
		c.peer.cancel(c)
		return
	}
	var p *peer
	if reply != "" {
		p = b.peerOf(f, reply, number)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p == nil && reply != "" {
		c.failLocked(c.lost("too many responders are known"))
		return
	}
	if c.accepted && c.instance != f.Instance {
		c.failLocked(c.lost("two responders have this call: the request was repeated on its way"))
		if p != nil {
			p.cancel(c)
		}
		return
	}
	if f.Protocol != protocolVersion {
		c.failLocked(&Error{
			Code: Invalid, RPC: c.route.desc, Instance: f.Instance, MayHaveRun: true,
			Message: "the responder speaks protocol version " + strconv.Itoa(int(f.Protocol)) + ", this caller " + strconv.Itoa(protocolVersion),
		})
		return
	}
	c.accepted, c.instance = true, f.Instance
	if !c.route.taken.Load() {
		c.route.taken.Store(true)
	}
	b.recent = c
	if c.upload != nil {
		c.upload.Grant(f.Credit)
	}
	if p != nil {
		c.peer = p
		p.add(c)
		c.signal() // a query that goes on has somewhere to go
	}
}

// askedIn returns the calls whose request is in message n. b.mu is held.
func (b *mailbox) askedIn(n uint64) (calls []*inCall) {
	if n == 0 {
		return nil
	}
	for _, c := range b.calls {
		if c.message.Load() == n {
			calls = append(calls, c)
		}
	}
	return calls
}

// unread ends the calls of a message that its receiver could not read.
func (b *mailbox) unread(token string, f wire.End) {
	n, _ := strconv.ParseUint(token, 10, 64)
	b.mu.Lock()
	calls := b.askedIn(n)
	b.mu.Unlock()
	if len(calls) == 0 {
		b.drops.add(dropLate, "message", token)
	}
	for _, c := range calls {
		if !c.isAccepted() {
			c.receiveEnd(f)
		}
	}
}

func (c *inCall) isAccepted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted
}

// unheard takes the broker's word that nobody received message n.
func (b *mailbox) unheard(n uint64, header map[string][]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if calls := b.askedIn(n); len(calls) > 0 {
		for _, c := range calls {
			c.refused(&Error{Code: NoResponder, RPC: c.route.desc, Err: errUnheard})
		}
		return
	}
	if q, ok := b.asks[n]; ok {
		q.answer(answer{nobody: true})
		return
	}
	for _, f := range b.joins {
		f.nobody(n)
	}
	if p := b.probes[n]; p != nil {
		delete(b.probes, n)
		if p.unheard(b.now()) == flow.Dead {
			b.gone(p, "the broker says that it is not there any more")
		}
		return
	}
	subject := strings.Join(header["Nats-Subject"], "")
	if strings.HasPrefix(subject, wire.Root+".") {
		return // to an instance that has left: its last call ended meanwhile
	}
	b.drops.add(dropUnheard, "subject", subject)
}
