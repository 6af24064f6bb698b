// SPDX-License-Identifier: Apache-2.0

//go:build !race

package bus_test

import (
	"context"
	"iter"
	"runtime"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
)

const long = 8 << 20

// allocated is how many bytes f allocates. The race detector allocates too.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestAStateOfBytesIsSentFromWhereItIs(t *testing.T) {
	const pieces = 128 << 10 // of which one is filled while the other is published
	if n := sendsState(t, make([]byte, long)); n > pieces {
		t.Errorf("%d bytes were allocated to send %d", n, long)
	}
}

func TestAStateThatIsEncodedIsWrittenOnce(t *testing.T) {
	const most = long + long/8
	if n := sendsState(t, wrapperspb.Bytes(make([]byte, long))); n > most {
		t.Errorf("%d bytes were allocated to send %d, want at most %d", n, long, most)
	}
}

// sendsState returns how many bytes a responder allocates to send a state.
func sendsState[S any](t *testing.T, state S) int {
	rpc := staterpc.RPC[[]byte, S, []byte]{Name: "state", Version: 1}
	s := newSink()
	srv, err := bus.ServeOn(s, bus.Service{Name: "bench"}, rpc.Handler(func(context.Context, []byte) (S, iter.Seq2[[]byte, error], error) {
		return state, nil, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = srv.Close() }()
	s.stream(1, rpc.Describe())
	return allocated(func() { s.stream(2, rpc.Describe()) })
}

func TestALongUpdateIsWrittenOnce(t *testing.T) {
	const most = long + long/8
	w := newWriting(t, make([]byte, long))
	w.stream(1)
	const n = 4
	if got := allocated(func() { w.stream(n) }) / n; got > most {
		t.Errorf("%d bytes were allocated for each update of %d, want at most %d", got, long, most)
	}
}

// TestALargeUpdateNeedsNoMemoryOfItsOwn is about updates that are larger than a
// batch but fit a frame: each is a message of its own, made where the one before
// was.
func TestALargeUpdateNeedsNoMemoryOfItsOwn(t *testing.T) {
	const n, most = 200, 1 << 10
	for _, size := range []int{20 << 10, 64 << 10, 120 << 10} {
		for name, w := range map[string]*writing{
			"bytes":    newWriting(t, make([]byte, size)),
			"protobuf": newWriting(t, wrapperspb.Bytes(make([]byte, size))),
		} {
			w.stream(10)
			if got := allocated(func() { w.stream(n) }) / n; got > most {
				t.Errorf("%d bytes were allocated for each update of %d, %s", got, size, name)
			}
		}
	}
}
