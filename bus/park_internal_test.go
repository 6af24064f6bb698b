// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"testing"

	"github.com/durabus/durabus/internal/transport"
)

// TestAStreamThatNobodyReadsHoldsNothingToReadWith and goes on when somebody does.
func TestAStreamThatNobodyReadsHoldsNothingToReadWith(t *testing.T) {
	net := transport.NewNet(1)
	d := Description{Name: "idle", Version: 1, Kind: Pipe}
	more := make(chan struct{})
	srv, err := ServeOn(net.Dial(), Service{Name: "test"}, Handler{Description: d, Call: func(context.Context, Call) (Reply, error) {
		return Reply{Updates: func(yield func(Element, error) bool) {
			<-more
			yield(ElementOf([]byte("update")), nil)
		}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	client := NewClientOn(net.Dial(), ClientOptions{})
	reply, err := client.Call(t.Context(), Call{Description: d})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range client.box.calls {
		c.mu.Lock()
		if c.wake != nil || c.queue != nil {
			t.Errorf("it holds the channel %v and a queue for %d frames", c.wake, cap(c.queue))
		}
		c.mu.Unlock()
	}
	close(more)
	n := 0
	for e, err := range reply.Updates {
		if n++; err != nil || string(e.data) != "update" {
			t.Errorf("got %q, %v", e.data, err)
		}
	}
	if n != 1 {
		t.Errorf("%d updates, want 1", n)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}
