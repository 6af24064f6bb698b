// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
)

func deadlines(t *testing.T, dial Dial) {
	eachShape(t, func(t *testing.T, s shape) {
		t.Run("that passes reaches the handler", func(t *testing.T) { deadlinePasses(t, dial, s) })
		t.Run("cancel reaches the handler", func(t *testing.T) { callIsCanceled(t, dial, s) })
		t.Run("that has passed starts no handler", func(t *testing.T) { deadlineHasPassed(t, dial, s) })
	})
}

// untilDone is an answer that says when it starts, waits for the end of its
// context and says that it saw it.
func untilDone() (f answer, started, ended chan struct{}) {
	started, ended = make(chan struct{}), make(chan struct{})
	return func(ctx context.Context, _ string) (string, error) {
		close(started)
		<-ctx.Done()
		close(ended)
		return "", ctx.Err()
	}, started, ended
}

func deadlinePasses(t *testing.T, dial Dial, s shape) {
	f, _, ended := untilDone()
	c := dial(t, s.handler(f))
	ctx, cancel := context.WithTimeout(within(t), 100*time.Millisecond)
	defer cancel()
	_, err := s.client(c)(ctx, "")
	failed(t, err, s.d, bus.Expired)
	saw(t, "deadline exceeded", errors.Is(err, context.DeadlineExceeded), true)
	await(t, ended, "the end of the handler's context")
}

func callIsCanceled(t *testing.T, dial Dial, s shape) {
	f, started, ended := untilDone()
	c := dial(t, s.handler(f))
	ctx, cancel := context.WithCancel(within(t))
	var canceler sync.WaitGroup
	canceler.Go(func() {
		<-started
		cancel()
	})
	_, err := s.client(c)(ctx, "")
	canceler.Wait()
	e := failed(t, err, s.d, bus.Canceled)
	saw(t, "canceled", errors.Is(err, context.Canceled), true)
	saw(t, "may have run", e.MayHaveRun, true)
	await(t, ended, "the end of the handler's context")
}

func deadlineHasPassed(t *testing.T, dial Dial, s shape) {
	ran := make(chan struct{}, 2)
	c := dial(t, s.handler(func(context.Context, string) (string, error) { ran <- struct{}{}; return "", nil }))
	expired, cancel := context.WithDeadline(within(t), time.Now().Add(-time.Second))
	defer cancel()
	_, err := s.client(c)(expired, "")
	e := failed(t, err, s.d, bus.Expired)
	saw(t, "may have run", e.MayHaveRun, false)

	canceled, cancel := context.WithCancel(within(t))
	cancel()
	_, err = s.client(c)(canceled, "")
	e = failed(t, err, s.d, bus.Canceled)
	saw(t, "may have run", e.MayHaveRun, false)
	saw(t, "runs of the handler", len(ran), 0)
}
