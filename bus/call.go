// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"iter"
	"log/slog"

	"github.com/durabus/durabus/internal/wire"
)

// A Kind says what an RPC sends back.
type Kind uint8

// The kinds of RPC. Their numbers are on the wire.
const (
	OneWay Kind = iota + 1 // nothing
	Unary                  // one answer
	Pipe                   // updates
	State                  // a state, then updates to it
)

var kindNames = [...]string{"unknown kind", "one-way", "unary", "pipe", "state"}

func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		k = 0
	}
	return kindNames[k]
}

// Streams reports whether updates follow the first value.
func (k Kind) Streams() bool { return k == Pipe || k == State }

// A Description identifies one version of one RPC. Two RPCs are the same if name
// and version are.
type Description struct {
	Name    string // of dot-separated tokens of [A-Za-z0-9_-]
	Version int    // from 1
	Kind    Kind
}

// String returns name.vVersion, as in the RPC's subject; the name alone if the
// version is 0.
func (d Description) String() string {
	if d.Version == 0 {
		return d.Name
	}
	return fmt.Sprintf("%s.v%d", d.Name, d.Version)
}

// LogValue has logs say what String does.
func (d Description) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Metadata is text that travels beside a query or a reply: at most 16 KiB, keys
// and values together. More is refused by the sender, never cut.
type Metadata map[string]string

// A Call is an encoded query for one RPC.
type Call struct {
	Description
	Query       []byte
	ContentType string // of Query and of what answers it; see Codec
	Metadata    Metadata
	Idempotent  bool // may be carried out more than once
	Window      int  // bytes of updates on their way to the reader at most; 0 means 8 MiB

	received bool // it is being answered, not made
}

// Info says who answered a call, and as what.
type Info struct {
	RPC      Description // the version that was used
	Instance string      // of the responder; Client.WithInstance calls it again
	CallID   string      // in the logs of both sides
	Metadata Metadata    // from the responder

	// Where the updates of a stream have a source that counts them, these are its
	// epoch and the position at which the stream began or was taken up. Positions
	// are the source's, whatever the version and the conversions on the way: two
	// in one epoch can be compared. Without such a source Epoch is "".
	Epoch    string
	Position uint64

	progress placed // of the loop; nil without a source
}

// Reached returns how far the loop over the updates has come in their source:
// what the updates up to position made was all taken, and nothing behind it if
// exact. While the loop takes what came in one message, position is that before
// it; it passes updates of which a conversion left nothing with the next that it
// left something of. What is taken before its reader comes for it, as by
// staterpc.Conflate, does not count until it is read. Reached may be called at any
// time, also on a copy of the Info.
func (i Info) Reached() (position uint64, exact bool) {
	if i.progress == nil {
		return 0, false
	}
	at := i.progress.place()
	return at.position, at.known
}

// A Reply is what a call gives back. First is the answer of a Unary RPC or the
// state of a State RPC; nobody may change it, as it may be the handler's own.
// Updates is nil unless the kind has them; it is single-use, and it costs the
// responder until its loop ends or the context of the call does.
type Reply struct {
	Info
	First   []byte
	Updates iter.Seq2[Element, error]

	reader *reader // of Updates, if they come over NATS
}

// An Element is one update, encoded or ready to be. It is valid until the next
// one of its sequence: who keeps it must copy it.
type Element struct {
	data   []byte
	memo   *memo // of what is read by several
	encode func(dst []byte) ([]byte, error)
}

// ElementOf returns an element that is encoded already.
func ElementOf(data []byte) Element { return Element{data: data} }

// EncodedBy returns an element that encode appends to where it is needed, so
// that it is written once, straight into the message that carries it.
func EncodedBy(encode func(dst []byte) ([]byte, error)) Element { return Element{encode: encode} }

// Append appends the element's encoding to dst.
func (e Element) Append(dst []byte) ([]byte, error) {
	if e.encode != nil {
		return e.encode(dst)
	}
	return append(dst, e.data...), nil
}

// Bytes returns the element's encoding, which may be shared with the message
// that it arrived in and must not be changed.
func (e Element) Bytes() ([]byte, error) {
	if e.encode != nil {
		return e.encode(nil)
	}
	return e.data, nil
}

// encoded returns an element that needs no encoding any more.
func (e Element) encoded() (Element, error) {
	if e.encode == nil {
		return e, nil
	}
	data, err := e.encode(nil)
	return ElementOf(data), err
}

// addTo adds the element to b.
func (e Element) addTo(b *wire.Batch) error {
	if e.encode != nil {
		return b.Append(e.encode)
	}
	b.AppendBytes(e.data)
	return nil
}

// A CallFunc carries out calls.
type CallFunc func(context.Context, Call) (Reply, error)

// Middleware adds behaviour to calls, on either side and for every kind.
type Middleware func(next CallFunc) CallFunc

// A Caller is something to call: a [Client], [Local], or either in a [Wrap].
type Caller interface {
	Call(context.Context, Call) (Reply, error)

	// Served returns the versions of an RPC that are served now, ascending; none
	// if nobody serves the name. It waits only for the first menu.
	Served(ctx context.Context, name string) ([]int, error)
}

// Wrap returns c behind middleware; the first sees a call first.
func Wrap(c Caller, mw ...Middleware) Caller { return wrapped{c, chain(c.Call, mw)} }

type wrapped struct {
	Caller
	call CallFunc
}

func (w wrapped) Call(ctx context.Context, c Call) (Reply, error) {
	c.received = false // it may come from a proxy's caller
	return w.call(ctx, c)
}

// Comes is that of the caller in w, as middleware changes calls alone.
func (w wrapped) Comes(name string, versions ...int) <-chan struct{} {
	return Comes(w.Caller, name, versions...)
}

func chain(f CallFunc, mw []Middleware) CallFunc {
	for i := len(mw) - 1; i >= 0; i-- {
		f = mw[i](f)
	}
	return f
}

// A Handler answers the calls of one RPC. The definitions make them. A proxy is
// one too: Handler{Description: d, Call: client.Call}. Errors that pass it keep
// who said them, metadata passes both ways; [Info] names the proxy.
type Handler struct {
	Description
	ContentType string // that Call understands besides application/json; "" is any
	Schema      Schema // of what Call takes and gives; nil is unknown
	Call        CallFunc
	Err         error // why its definition cannot be served; Serve returns it

	shared bool
}

// With returns h behind middleware; the first sees a call first.
func (h Handler) With(mw ...Middleware) Handler {
	if h.Call != nil { // a nil handler is for Serve to refuse
		h.Call = chain(h.Call, mw)
	}
	return h
}

// A Member is one version of an RPC whose Funcs are of type F. Client or
// Handler is nil where no conversion leads there.
type Member[F any] struct {
	Description
	Schema  Schema
	Client  func(Caller) F
	Handler func(F) Handler
}

// A Definition is one or more versions of one RPC behind one Func type. The RPC
// types and versioned.Family are definitions.
type Definition[F any] interface{ Members() []Member[F] }
