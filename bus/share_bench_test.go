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
	"github.com/durabus/durabus/staterpc"
)

// A reach is a sink that tells how far a feed has been published.
type reach struct {
	*sink
	last chan uint64
}

func (r *reach) Publish(subject, reply string, data []byte) error {
	kind, body, _, _ := wire.Next(data)
	if kind != wire.KindFeed {
		return r.sink.Publish(subject, reply, data)
	}
	r.msgs++
	var f wire.Feed
	if err := f.Parse(body); err != nil {
		return err
	}
	r.last <- f.Last
	return nil
}

// BenchmarkShare tells what an update of a shared stream costs its publisher, from
// Publish through the feed to a message for all who watch; with -cpu 1 it is the
// time of all goroutines.
func BenchmarkShare(b *testing.B) {
	const burst = 1000
	r := &reach{sink: newSink(), last: make(chan uint64, burst)}
	value := wrapperspb.Bytes(make([]byte, 128))
	p := staterpc.NewPublisher(value, func(_, u *wrapperspb.BytesValue) *wrapperspb.BytesValue { return u }, 2*burst)
	rpc := staterpc.RPC[[]byte, *wrapperspb.BytesValue, *wrapperspb.BytesValue]{Name: "share", Version: 1}
	srv, err := bus.ServeOn(r, bus.Service{Name: "bench"}, rpc.Handler(func(ctx context.Context, _ []byte) (*wrapperspb.BytesValue, iter.Seq2[*wrapperspb.BytesValue, error], error) {
		return p.Watch(ctx)
	}).Shared())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Close() })
	packet := wire.Open{
		Protocol: 1, Features: 1, Client: "reader", Call: 1, Kind: uint32(bus.State), Allow: 1 << 10,
		Credit: math.MaxInt64, PeerCredit: math.MaxInt64, ContentType: "application/octet-stream",
	}.Append(nil)
	subject := rpc.Describe().String()
	r.subs[subject](transport.Msg{Subject: subject, Reply: "_INBOX.reader.1", Data: wire.AppendNumber(packet, 1)})
	<-r.replies

	published := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	r.msgs = 0
	for left := b.N; left > 0; left -= burst {
		for range min(left, burst) {
			p.Publish(value)
			published++
		}
		for <-r.last < published {
		}
	}
	b.ReportMetric(float64(b.N)/float64(r.msgs), "updates/msg")
}
