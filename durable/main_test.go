// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/staterpc"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

type event = durable.Event[int, int]

// An opening is what a scripted Func does at one call: it takes a while, then
// fails, or opens with a stream of pairs that ends, or stays open, or breaks off.
type opening struct {
	takes   time.Duration
	refuse  error
	updates []pair
	lasts   time.Duration // after the updates
	end     error         // nil is an end in order
}

type pair struct {
	update int
	err    error
}

// A script is a Func that does as its openings say, the last of them for ever.
// Its state is the number of the call.
type script struct {
	openings []opening
	at       []time.Time       // of the calls
	streams  []context.Context // that were opened
}

func (s *script) Func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
	n := len(s.at)
	s.at = append(s.at, time.Now())
	o := s.openings[min(n, len(s.openings)-1)]
	if !wait(ctx, o.takes) {
		return 0, nil, context.Cause(ctx)
	}
	if o.refuse != nil {
		return 0, nil, o.refuse
	}
	s.streams = append(s.streams, ctx)
	return n + 1, func(yield func(int, error) bool) {
		for _, p := range o.updates {
			if !yield(p.update, p.err) {
				return
			}
		}
		if !wait(ctx, o.lasts) {
			yield(0, context.Cause(ctx))
		} else if o.end != nil {
			yield(0, o.end)
		}
	}, nil
}

// pipe is Func without the state.
func (s *script) pipe(ctx context.Context, _ string) (iter.Seq2[int, error], error) {
	_, updates, err := s.Func(ctx, "")
	return updates, err
}

// open counts the streams that nobody has let go.
func (s *script) open() (n int) {
	for _, ctx := range s.streams {
		if ctx.Err() == nil {
			n++
		}
	}
	return n
}

// gaps are the times from each call to the next.
func (s *script) gaps() (gaps []time.Duration) {
	for i := 1; i < len(s.at); i++ {
		gaps = append(gaps, s.at[i].Sub(s.at[i-1]))
	}
	return gaps
}

func wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// calls follows s until it was called n times and has spoken of the last.
func calls(t *testing.T, s *script, n int, p durable.Policy) {
	t.Helper()
	for ev := range durable.State(t.Context(), s.Func, "", p) {
		if len(s.at) == n && ev.Kind != durable.Attempting {
			return
		}
	}
	t.Fatalf("the events ended after %d calls", len(s.at))
}

// first returns the first n events, in short.
func first(t *testing.T, n int, f staterpc.Func[string, int, int], p durable.Policy) (got []string) {
	t.Helper()
	for ev := range durable.State(t.Context(), f, "", p) {
		if got = append(got, short(ev)); len(got) == n {
			break
		}
	}
	return got
}

func short(ev event) string {
	switch {
	case ev.Err != nil:
		return fmt.Sprintf("%v(%v)", ev.Kind, ev.Err)
	case ev.Kind == durable.Snapshot:
		return fmt.Sprintf("Snapshot %d", ev.State)
	case ev.Kind == durable.Update:
		return fmt.Sprintf("Update %d", ev.Update)
	}
	return ev.Kind.String()
}

// steady waits d after every failure.
func steady(d time.Duration) durable.Policy {
	return durable.Policy{Wait: func(int) time.Duration { return d }}
}

// A crowd counts how many are in one place at a time.
type crowd struct {
	mu        sync.Mutex
	now, most int
}

func (c *crowd) arrive() { c.add(1) }
func (c *crowd) leave()  { c.add(-1) }

func (c *crowd) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.most = max(c.most, c.now)
}
