// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"math"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/piperpc"
)

// A sink is a bus that takes everything and delivers only what a test hands to
// its subscriptions.
type sink struct {
	transport.Conn
	subs    map[string]func(transport.Msg)
	ended   chan struct{} // told when a stream's end is published
	msgs    int
	replies chan string // the server's first address
}

func newSink() *sink {
	return &sink{Conn: transport.NewNet(1).Dial(), subs: map[string]func(transport.Msg){}, ended: make(chan struct{}, 1), replies: make(chan string, 1)}
}

func (s *sink) Subscribe(subject, queue string, f func(transport.Msg)) (transport.Subscription, error) {
	s.subs[subject] = f
	return s.Conn.Subscribe(subject, queue, f)
}

func (s *sink) Publish(_, reply string, data []byte) error {
	if kind, _, _, _ := wire.Next(data); kind == wire.KindAccept {
		select {
		case s.replies <- reply:
		default:
		}
	}
	s.msgs++
	if kind, _, _, _ := wire.Next(data); kind == wire.KindEnd {
		s.ended <- struct{}{}
	}
	return nil
}

// stream is open and returns after the stream's end.
func (s *sink) stream(call uint64, d bus.Description) {
	s.open(call, d)
	<-s.ended
}

// open has d called by a reader with all credit there is.
func (s *sink) open(call uint64, d bus.Description) { s.openWith(call, d, math.MaxInt64) }

func (s *sink) openWith(call uint64, d bus.Description, credit uint64) {
	packet := wire.Open{
		Protocol: 1, Client: "reader", Call: call, Kind: uint32(d.Kind),
		Credit: credit, PeerCredit: math.MaxInt64, ContentType: "application/octet-stream",
	}.Append(nil)
	s.subs[d.String()](transport.Msg{Subject: d.String(), Reply: "_INBOX.reader.1", Data: wire.AppendNumber(packet, call)})
}

// BenchmarkWrite tells what an update costs the responder: in the handler's loop,
// through all layers into a message that the bus takes at no cost. «codec» is
// what the encoding alone costs.
func BenchmarkWrite(b *testing.B) {
	benchWrite(b, "bytes", make([]byte, 16))
	benchWrite(b, "proto", wrapperspb.Bytes(make([]byte, 16)))
}

func benchWrite[U any](b *testing.B, name string, value U) {
	codec := bus.CodecFor[U](nil)
	b.Run(name+"/codec", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst, _ = codec.Append(dst[:0], &value)
		}
	})
	b.Run(name+"/durabus", func(b *testing.B) {
		w := newWriting(b, value)
		w.stream(1000)
		b.ReportAllocs()
		b.ResetTimer()
		w.msgs = 0
		for left := b.N; left > 0; left -= 1 << 20 { // each tells the server that its caller lives
			w.stream(min(left, 1<<20))
		}
		b.ReportMetric(float64(b.N)/float64(w.msgs), "updates/msg")
	})
}

// A writing is a server of streams to a [sink].
type writing struct {
	*sink
	d       bus.Description
	calls   uint64
	updates int // of the next stream
}

func newWriting[U any](tb testing.TB, value U) *writing {
	tb.Helper()
	rpc := piperpc.RPC[[]byte, U]{Name: "write", Version: 1}
	w := &writing{sink: newSink(), d: rpc.Describe()}
	srv, err := bus.ServeOn(w.sink, bus.Service{Name: "bench"}, rpc.Handler(func(context.Context, []byte) (iter.Seq2[U, error], error) {
		return func(yield func(U, error) bool) {
			for range w.updates {
				if !yield(value, nil) {
					return
				}
			}
		}, nil
	}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = srv.Close() })
	return w
}

// stream returns after the end of a stream of n updates.
func (w *writing) stream(n int) {
	w.calls++
	w.updates = n
	w.sink.stream(w.calls, w.d)
}
