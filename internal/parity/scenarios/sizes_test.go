// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

func TestSizes(t *testing.T) {
	run(t, []scenario{
		{"S012 a query beyond the limit is refused with both numbers and not sent", queryTooLarge},
		{"S090 two raw updates of 8 bytes are 8 bytes each", rawUpdates},
		{"S094 a state beyond the limit fails the call with both numbers", stateTooLarge},
		{"S146 of 500 bursts of 500 updates, read when all are written, all 250000 arrive", manyUpdates},
	})
	// Within one process an update is not encoded to be sent, and has no limit.
	runOverNATS(t, []scenario{
		{"S077 S078 S079 of three updates the last is beyond the limit and ends the stream", updateTooLarge},
	})
}

var (
	answered = unaryrpc.RPC[[]byte, int]{Name: "s.answered", Version: 1}
	piped    = piperpc.RPC[[]byte, []byte]{Name: "s.piped", Version: 1}
	kept     = staterpc.RPC[int, []byte, []byte]{Name: "s.kept", Version: 1}
)

const tooLarge, limit = "67108865", "67108864"

func queryTooLarge(t *testing.T, d dial) {
	c := d(t, number.Handler(echo),
		answered.Handler(func(context.Context, []byte) (int, error) { t.Error("it ran"); return 0, nil }),
		piped.Handler(func(context.Context, []byte) (iter.Seq2[[]byte, error], error) { t.Error("it ran"); return nil, nil }))
	query := make([]byte, bus.MaxValue+1)
	_, err := answered.Client(c)(within(t), query)
	failed(t, err, bus.TooLarge, tooLarge, limit)
	_, err = piped.Client(c)(within(t), query)
	failed(t, err, bus.TooLarge, tooLarge, limit)
	works(t, c)
}

func updateTooLarge(t *testing.T, d dial) {
	long := make([]byte, bus.MaxValue+1) // here, as a slow machine may take longer than callers wait for a sign
	c := d(t, number.Handler(echo), piped.Handler(func(context.Context, []byte) (iter.Seq2[[]byte, error], error) {
		return of([]byte("one"), []byte("two"), long), nil
	}))
	updates, err := piped.Client(c)(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var end error
	for u, err := range updates {
		if end = err; err == nil {
			got = append(got, string(u[:min(len(u), 9)]))
		}
	}
	saw(t, "updates before it", got, "[one two]")
	failed(t, end, bus.TooLarge, tooLarge, limit)
	works(t, c)
}

func rawUpdates(t *testing.T, d dial) {
	c := d(t, piped.Handler(func(context.Context, []byte) (iter.Seq2[[]byte, error], error) {
		return of([]byte("abcdefgh"), []byte("ijklmnop")), nil
	}))
	r, err := bus.Do(within(t), c, bus.Call{Description: piped.Describe()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range r.Updates {
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Bytes()
		got = append(got, fmt.Sprint(len(b), string(b), err))
	}
	saw(t, "updates", got, "[8abcdefgh<nil> 8ijklmnop<nil>]")
}

func stateTooLarge(t *testing.T, d dial) {
	released := make(chan error, 1)
	long := make([]byte, bus.MaxValue+1)
	c := d(t, number.Handler(echo), kept.Handler(func(ctx context.Context, _ int) ([]byte, iter.Seq2[[]byte, error], error) {
		context.AfterFunc(ctx, func() { released <- ctx.Err() })
		return long, func(func([]byte, error) bool) { <-ctx.Done() }, nil
	}))
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	_, _, err := kept.Client(c)(ctx, 0)
	failed(t, err, bus.TooLarge, tooLarge, limit)
	works(t, c)
	cancel() // within one process the handler's context is the caller's
	await(t, "the end of the handler's context", released)
}

func manyUpdates(t *testing.T, d dial) {
	const bursts, each = 500, 500
	c := d(t, numbers.Handler(piperpc.Push(bursts*each, func(_ context.Context, _ int, w *piperpc.Writer[int]) error {
		for n := range bursts * each {
			w.Offer(n)
		}
		w.Close(nil)
		return nil
	})))
	updates, err := numbers.Client(c)(within(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for n, err := range updates {
		if err != nil || n != next {
			t.Fatalf("update %d: %d, %v", next, n, err)
		}
		next++
	}
	saw(t, "updates", next, 250000)
}
