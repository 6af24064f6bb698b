// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// The version of the wire that this module speaks.
const (
	protocolVersion = 1
	protocolMinor   = 0
	features        = featureFeeds
)

// The bits of features.
const featureFeeds = 1

// An attempt says what went before in sending one call.
type attempt struct {
	route     *route
	untaken   int           // times that nobody was subscribed, or one who was leaving
	explained bool          // nobody was subscribed, and the menu said that somebody is by now
	now       time.Duration // when it is sent
	silent    bool          // it was sent before and nothing was heard
	since     time.Duration // when it was sent first, if it was silent
	fresh     bool          // it was too old on arrival: have our clock learned anew
	from      place         // where the stream that it takes up stands
	private   bool          // not by a shared feed
	old       int           // times that a feed did not go on behind its state
}

// attempt sends c once and waits for what its kind promises first.
func (b *mailbox) attempt(ctx context.Context, c Call, how attempt) (Reply, error) {
	in, err := b.launch(ctx, c, how)
	switch {
	case err != nil || in == nil:
		return Reply{}, err
	case c.Kind == OneWay:
		in.finish()
		return Reply{}, (&reader{c: in}).refusal()
	case c.Kind == Unary:
		if reply, ok := in.shortAnswer(ctx); ok {
			return reply, nil
		}
	}
	return newReader(in, c).reply(ctx)
}

// dispatch sends c, a stream, once.
func (b *mailbox) dispatch(ctx context.Context, c Call, how attempt) (*reader, error) {
	if err := b.ready(ctx, c.Description); err != nil {
		return nil, err
	}
	how.now = b.now()
	in, err := b.launch(ctx, c, how)
	if err != nil {
		return nil, err
	}
	return newReader(in, c), nil
}

// ready waits until the broker has taken what was published before.
func (b *mailbox) ready(ctx context.Context, d Description) error {
	for left := b.conn.Blocked(pieceSize); left != nil; left = b.conn.Blocked(pieceSize) {
		select {
		case <-left:
		case <-b.quit:
			return b.unusable(errClosed, d)
		case <-ctx.Done():
			return notSent(contextError(ctx, d))
		}
	}
	return nil
}

func newReader(in *inCall, c Call) *reader {
	r := &reader{c: in, inHand: new(inHand)}
	if in.resume {
		call := c // or each would be moved to the heap
		r.call = &call
	}
	return r
}

// launch sends c once. It returns nil if nothing comes back.
func (b *mailbox) launch(ctx context.Context, c Call, how attempt) (*inCall, error) {
	if ctx.Err() != nil {
		return nil, notSent(contextError(ctx, c.Description))
	}
	in := newInCall(c.Kind)
	in.box, in.route, in.wake, in.sent = b, how.route, b.wakers.Get().(chan struct{}), how.now
	in.again, in.resume = c.Idempotent && !how.silent, c.Kind.Streams() && ctx.Value(resumeKey{}) != nil
	if in.resume && how.from.epoch == "" {
		in.again = false // or a state would be sent twice by those who are only slow
	}
	sentUS := in.sent
	if how.silent {
		in.sent = how.since // both attempts together have the time of one
	}
	if c.Kind != OneWay {
		in.recv.Window = flow.NewWindow(streamWindow, uint64(max(window(c.Window), streamWindow)), 0)
	}
	o, err := in.request(ctx, c, how, sentUS)
	whole := o.Total == 0
	if !whole {
		in.upload = new(upload)
	}
	if err == nil {
		err = in.send(ctx, &o)
	}
	if err == nil && !whole {
		err = in.sendRest(ctx, c.Query)
	}
	if err != nil || c.Kind == OneWay && whole {
		in.finish()
		return nil, err
	}
	return in, nil
}

func window(n int) int {
	if n <= 0 {
		return maxWindow
	}
	return n
}

// request returns the request but for its call's id, at the time now. The query
// is in it, or else its length.
func (c *inCall) request(ctx context.Context, call Call, how attempt, now time.Duration) (wire.Open, error) {
	o := wire.Open{
		Protocol: protocolVersion, Minor: protocolMinor, Features: c.box.sharing(call, how.private || c.resume && call.Kind == Pipe), Client: c.box.id,
		Kind: uint32(call.Kind), ContentType: call.ContentType, Metadata: call.Metadata,
		Allow: firstAllow, PeerCredit: peerWindow, Epoch: how.from.epoch, Position: how.from.position,
	}
	if call.Kind.Streams() || call.Kind == Unary {
		o.Credit = c.recv.Window.Granted()
	}
	if !how.fresh {
		o.SentUS = uint64(max(now.Microseconds(), 1))
	}
	if deadline, ok := ctx.Deadline(); ok {
		o.TimeoutUS = uint64(max(time.Until(deadline).Microseconds(), 1))
	}
	most := c.box.room()
	room := payloadRoom(most) - metadataRoom(call.Metadata) - len(call.ContentType)
	switch {
	case room <= 0 && most > 0: // else there was no broker yet, which send will say
		return o, &Error{
			Code: TooLarge, RPC: c.route.desc,
			Message: fmt.Sprintf("the metadata does not fit a message of this broker (%d bytes)", most),
		}
	case len(call.Query) <= room:
		o.Query = call.Query
	default:
		o.Total = uint64(len(call.Query)) // and all of it in Chunks
	}
	return o, nil
}

// send registers c and publishes its request, with others of its route if it may
// share a message with them.
func (c *inCall) send(ctx context.Context, o *wire.Open) error {
	if c.route.desc.Kind == Unary && o.Total == 0 && len(o.Query) <= batchSize {
		return c.route.ask(c, o)
	}
	b := c.box
	c.id = b.next()
	if err := b.begin(c); err != nil {
		return err
	}
	o.Call = c.id
	c.message.Store(c.id)
	packet := wire.AppendNumber(o.Append(make([]byte, 0, len(o.Query)+192)), c.id)
	return b.publish(ctx, c.route.desc, func() error { return b.conn.Publish(c.route.subject, b.reply(c.id), packet) })
}

// publish has try publish something of d, once more where the connection was blocked.
func (b *mailbox) publish(ctx context.Context, d Description, try func() error) error {
	for {
		err := try()
		if err != transport.ErrBlocked {
			return b.failed(err, d)
		}
		if err := b.ready(ctx, d); err != nil {
			return err
		}
	}
}

// failed names an error of publishing a request: nothing was sent.
func (b *mailbox) failed(err error, d Description) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, transport.ErrNotConnected):
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.disconnected(d, false)
	}
	return &Error{Code: TooLarge, RPC: d, Err: err, Message: err.Error()}
}

// sendRest sends what of the query did not fit the request, piece by piece, to
// the instance that accepted it and as its credit allows. It ends early when
// something arrives: an answer to half a query is an error, and the reader gets it.
func (c *inCall) sendRest(ctx context.Context, query []byte) error {
	sent, size := 0, min(pieceSize, payloadRoom(c.box.conn.MaxPayload()))
	packet := make([]byte, 0, size+envelope)
	for seq := uint64(1); sent < len(query); {
		piece := query[sent:min(sent+size, len(query))]
		c.mu.Lock()
		left := c.box.conn.Blocked(size)
		p, ok := c.peer, len(c.queue) == 0 && c.err == nil && !c.opened
		send := ok && p != nil && left == nil && c.upload.Use(flow.Cost(len(piece)))
		c.mu.Unlock()
		switch {
		case !ok:
			return nil
		case send:
			frame := wire.Chunk{Call: c.id, Seq: seq, Data: piece}
			err := c.box.publish(ctx, c.route.desc, func() error { return p.publish(c.box.next(), frame.Append(packet)) })
			if err != nil {
				return err
			}
			seq++
			sent += len(piece)
		default:
			select {
			case <-c.wake:
			case <-left:
			case <-ctx.Done():
				return c.contextError(ctx)
			}
		}
	}
	c.mu.Lock()
	c.upload.whole = true
	c.mu.Unlock()
	return nil
}
