// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
)

// The benchmarks compare this module with plain nats.go, one after the other on
// one broker. Caller, responder and broker share the process: the figures of
// time and allocations are sums of all three, and «ratio» is that of the time to
// the line before.

// A rival is what plain NATS took for each iteration.
type rival time.Duration

func each(b *testing.B) time.Duration { return max(b.Elapsed()/time.Duration(b.N), 1) }

func (r *rival) took(b *testing.B) { *r = rival(each(b)) }

func (r *rival) compare(b *testing.B) {
	if *r > 0 { // else it was not run
		b.ReportMetric(float64(each(b))/float64(*r), "ratio")
	}
}

func BenchmarkUnary(b *testing.B) {
	url := broker.Run(b, broker.Options{}).URL()
	serve(b, url, echoRPC.Handler(echo))
	call := echoRPC.Client(client(b, url))
	raw := rawEcho(b, url)
	for _, callers := range []int{1, 64} {
		for _, size := range []int{16, 1 << 10} {
			name := fmt.Sprintf("callers=%d/size=%d", callers, size)
			query := make([]byte, size)
			var rival rival
			b.Run(name+"/nats", func(b *testing.B) {
				benchCalls(b, callers, func(context.Context) error { return raw(query) })
				rival.took(b)
			})
			b.Run(name+"/durabus", func(b *testing.B) {
				benchCalls(b, callers, func(ctx context.Context) error {
					_, err := call(ctx, query)
					return err
				})
				rival.compare(b)
			})
		}
	}
}

// rawEcho is what one writes without this module.
func rawEcho(b *testing.B, url string) func([]byte) error {
	b.Helper()
	_, err := connect(b, url).Subscribe("raw.echo", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	if err != nil {
		b.Fatal(err)
	}
	nc := connect(b, url)
	call := func(query []byte) error {
		_, err := nc.Request("raw.echo", query, time.Minute)
		return err
	}
	for call(nil) != nil { // until the subscription is there
	}
	return call
}

func benchCalls(b *testing.B, callers int, call func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	b.ReportAllocs()
	if callers == 1 {
		for b.Loop() {
			if err := call(ctx); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	work := make(chan struct{}, callers)
	failed := make(chan error, callers)
	for range callers {
		go func() {
			var err error
			for range work {
				if err == nil {
					err = call(ctx)
				}
			}
			failed <- err
		}()
	}
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	for range callers {
		if err := <-failed; err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPipe(b *testing.B) {
	url := broker.Run(b, broker.Options{}).URL()
	for _, size := range []int{16, 128, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("bytes/size=%d", size), func(b *testing.B) {
			value := make([]byte, size)
			benchPipe(b, url, value, bus.CodecFor[[]byte](nil))
		})
		b.Run(fmt.Sprintf("proto/size=%d", size), func(b *testing.B) {
			value := wrapperspb.Bytes(make([]byte, size))
			benchPipe(b, url, value, bus.CodecFor[*wrapperspb.BytesValue](nil))
		})
	}
}

// benchPipe sends value b.N times as messages of their own, then as updates.
func benchPipe[U any](b *testing.B, url string, value U, codec *bus.TypedCodec[U]) {
	b.Helper()
	open := benchedPipe(b, url, value)
	from, to := connect(b, url), connect(b, url)

	encoded, err := codec.Append(nil, &value)
	if err != nil {
		b.Fatal(err)
	}
	var rival rival
	b.Run("nats", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(encoded)))
		rawPipe(b, from, to, value, codec)
		rival.took(b)
	})
	b.Run("durabus", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(encoded)))
		readUpdates(b, open, b.N)
		rival.compare(b)
	})
}

// benchedPipe serves a pipe that sends value as often as it is asked to.
func benchedPipe[U any](t testing.TB, url string, value U) piperpc.Func[int, U] {
	t.Helper()
	pipe := piperpc.RPC[int, U]{Name: "bench.pipe", Version: 1}
	serve(t, url, pipe.Handler(func(_ context.Context, n int) (iter.Seq2[U, error], error) {
		return func(yield func(U, error) bool) {
			for range n {
				if !yield(value, nil) {
					return
				}
			}
		}, nil
	}))
	return pipe.Client(client(t, url))
}

func readUpdates[U any](t testing.TB, open piperpc.Func[int, U], n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	updates, err := open(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, err := range updates {
		if err != nil {
			t.Fatal(err)
		}
		got++
	}
	if got != n {
		t.Fatalf("%d updates of %d", got, n)
	}
}

// rawPipe is as fast as plain NATS goes: nothing holds the sender back but the
// broker, so that the receiver must have room for all.
func rawPipe[U any](b *testing.B, from, to *nats.Conn, value U, codec *bus.TypedCodec[U]) {
	b.Helper()
	all := make(chan error, 1)
	n := 0
	sub, err := to.Subscribe("raw.pipe", func(m *nats.Msg) {
		_, err := codec.Decode(m.Data)
		if n++; err != nil || n == b.N {
			all <- err
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var buf []byte
	for range b.N {
		if buf, err = codec.Append(buf[:0], &value); err != nil {
			b.Fatal(err)
		}
		if err := from.Publish("raw.pipe", buf); err != nil {
			b.Fatal(err)
		}
	}
	select {
	case err := <-all:
		if err != nil {
			b.Fatal(err)
		}
	case <-time.After(time.Minute):
		b.Fatalf("%d messages of %d arrived", n, b.N)
	}
}

// BenchmarkCallBesideAStalledStream tells what a reader that stands still costs
// the calls on its connection.
func BenchmarkCallBesideAStalledStream(b *testing.B) {
	url := broker.Run(b, broker.Options{}).URL()
	srv := serve(b, url, floodRPC.Handler(new(flood).open), echoRPC.Handler(echo))
	c := client(b, url)
	call := echoRPC.Client(c)
	query := make([]byte, 16)
	latencies := func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			start := time.Now()
			if _, err := call(b.Context(), query); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	}
	b.Run("idle", latencies)

	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	if _, err := floodRPC.Client(c)(ctx, floodSize); err != nil {
		b.Fatal(err)
	}
	awaitBlocked(ctx, b, connect(b, url), srv, floodRPC.Describe())
	b.Run("stalled", latencies)
}
