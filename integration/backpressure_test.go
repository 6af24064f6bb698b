// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsmicro "github.com/nats-io/nats.go/micro"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/micro"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// The windows of docs/protocol.md, and what an element takes of them: a tag and
// a length besides its bytes.
const (
	firstWindow  = 256 << 10
	widestWindow = 8 << 20
	elementSize  = 100
	recordSize   = elementSize + 2

	floodSize = 250_000
)

var (
	floodRPC  = piperpc.RPC[int, []byte]{Name: "test.flood", Version: 1}
	narrowRPC = piperpc.RPC[int, []byte]{Name: "test.narrow", Version: 1, Window: firstWindow}
	besideRPC = piperpc.RPC[int, []byte]{Name: "test.beside", Version: 1}
	echoRPC   = unaryrpc.RPC[[]byte, []byte]{Name: "test.echo", Version: 1}
)

func echo(_ context.Context, b []byte) ([]byte, error) { return b, nil }

// numbered appends element i of a flood to dst: its number, and bytes that
// depend on it.
func numbered(dst []byte, i int) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(i))
	return append(dst, bytes.Repeat([]byte{byte(i)}, elementSize-8)...)
}

// A flood is a stream as fast as it is taken. It counts what the engine has
// taken from the handler and what the reader has got from the engine: the
// difference is buffered or on its way.
type flood struct {
	given, got atomic.Int64
	most       atomic.Int64 // of the difference
}

func (f *flood) open(_ context.Context, n int) (iter.Seq2[[]byte, error], error) {
	return func(yield func([]byte, error) bool) {
		b := make([]byte, 0, elementSize)
		for i := range n {
			// The engine has room for all that it was given before this one.
			f.most.Store(max(f.most.Load(), f.given.Load()-f.got.Load()))
			f.given.Add(1)
			if b = numbered(b[:0], i); !yield(b, nil) {
				return
			}
		}
	}, nil
}

// read takes n elements, and pace before each.
func (f *flood) read(t *testing.T, updates iter.Seq2[[]byte, error], n int, pace func(i int)) {
	t.Helper()
	i, want := 0, make([]byte, 0, elementSize)
	for b, err := range updates {
		if err != nil {
			t.Fatalf("after %d elements: %v", i, err)
		}
		if want = numbered(want[:0], i); !bytes.Equal(b, want) {
			t.Fatalf("element %d is %x", i, b)
		}
		pace(i)
		f.got.Add(1)
		i++
	}
	if i != n {
		t.Fatalf("the stream ended after %d elements of %d", i, n)
	}
}

// checkMost asserts that what was buffered anywhere never took more than window.
func (f *flood) checkMost(t *testing.T, window int64) {
	t.Helper()
	if most := f.most.Load() * recordSize; most > window {
		t.Errorf("%d bytes were buffered or on their way, the window has %d", most, window)
	}
}

func TestAReaderThatStartsLateHoldsUpOnlyItsOwnStream(t *testing.T) {
	t.Parallel()
	f, beside := new(flood), new(flood)
	url := broker.Run(t, broker.Options{}).URL()
	srv := serve(t, url, floodRPC.Handler(f.open), besideRPC.Handler(beside.open), echoRPC.Handler(echo))
	c := client(t, url)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	late := time.NewTimer(5 * time.Second)
	updates, err := floodRPC.Client(c)(ctx, floodSize)
	if err != nil {
		t.Fatal(err)
	}
	awaitBlocked(ctx, t, connect(t, url), srv, floodRPC.Describe())

	call := echoRPC.Client(c)
	for i := range 200 {
		if b, err := call(ctx, numbered(nil, i)); err != nil || !bytes.Equal(b, numbered(nil, i)) {
			t.Fatalf("call %d beside the stream that stands still: %x, %v", i, b, err)
		}
	}
	second, err := besideRPC.Client(c)(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	beside.read(t, second, 1000, func(int) {})

	<-late.C
	f.checkMost(t, firstWindow)
	f.read(t, updates, floodSize, func(int) {})
	f.checkMost(t, widestWindow)
}

func TestAReaderThatIsSlowAtFirstGetsEverything(t *testing.T) {
	t.Parallel()
	f := new(flood)
	c := pair(t, narrowRPC.Handler(f.open))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	updates, err := narrowRPC.Client(c)(ctx, floodSize)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	f.read(t, updates, floodSize, func(i int) {
		if i < 5000 && i%10 == 0 {
			<-tick.C // 1,000 a second
		}
	})
	f.checkMost(t, firstWindow)
}

// awaitBlocked waits until the one stream of d waits for credit, as the server's
// statistics tell.
func awaitBlocked(ctx context.Context, t testing.TB, nc *nats.Conn, srv *bus.Server, d bus.Description) {
	t.Helper()
	for endpointData(ctx, t, nc, srv, d).StreamsBlocked == 0 {
	}
}

// endpointData asks srv for the figures of d over the services protocol.
func endpointData(ctx context.Context, t testing.TB, nc *nats.Conn, srv *bus.Server, d bus.Description) micro.Data {
	t.Helper()
	m, err := nc.RequestWithContext(ctx, "$SRV.STATS.test."+srv.Instance(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var stats natsmicro.Stats
	if err := json.Unmarshal(m.Data, &stats); err != nil {
		t.Fatal(err)
	}
	for _, e := range stats.Endpoints {
		if e.Subject != d.String() {
			continue
		}
		var data micro.Data
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		return data
	}
	t.Fatalf("%v is not among the endpoints", d)
	return micro.Data{}
}
