// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/piperpc"
)

// A slowSink holds up whoever publishes the beginning of call 1: the outbox.
type slowSink struct {
	*sink
	held, goOn chan struct{}
	once       sync.Once
	mu         sync.Mutex // held while the sink, which counts, takes a message
}

func (s *slowSink) Publish(subject, reply string, data []byte) error {
	kind, body, _, _ := wire.Next(data)
	var a wire.Accept
	if kind == wire.KindAccept && a.Parse(body) == nil && a.Call == 1 {
		s.once.Do(func() { close(s.held) })
		<-s.goOn
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink.Publish(subject, reply, data)
}

// TestALoopThatNeverPausesEndsWithItsCallThoughTheOutboxIsBehind has a handler that
// ignores its context and fills message after message, which leave by its own
// goroutine: the outbox never comes to them.
func TestALoopThatNeverPausesEndsWithItsCallThoughTheOutboxIsBehind(t *testing.T) {
	rpc := piperpc.RPC[[]byte, []byte]{Name: "write", Version: 1}
	ended := make(chan struct{}, 2)
	s := &slowSink{sink: newSink(), held: make(chan struct{}), goOn: make(chan struct{})}
	s.sink.ended = make(chan struct{}, 2)
	srv, err := bus.ServeOn(s, bus.Service{Name: "test"}, rpc.Handler(func(context.Context, []byte) (iter.Seq2[[]byte, error], error) {
		return func(yield func([]byte, error) bool) {
			defer func() { ended <- struct{}{} }()
			for update := make([]byte, 1<<10); yield(update, nil); {
			}
		}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		close(s.goOn)
		_ = srv.Close()
	}()
	// A caller that says nothing is dead after 5 s, and its loops end for that.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	s.open(1, rpc.Describe())
	<-s.held
	s.open(2, rpc.Describe())
	address := <-s.replies
	for subject, control := range s.subs {
		if strings.HasPrefix(subject, "_D.c.") {
			control(transport.Msg{Subject: address, Data: packet(3, wire.Cancel{Call: 2}.Append(nil))})
		}
	}
	select {
	case <-ended: // that of call 1 waits for the outbox
	case <-ctx.Done():
		t.Error("the handler goes on after its call")
	}
}
