// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/piperpc"
)

func TestACancelledStreamEndsThoughAnUpdateWaitsForCredit(t *testing.T) {
	rpc := piperpc.RPC[[]byte, []byte]{Name: "large", Version: 1}
	s := newSink()
	srv, err := bus.ServeOn(s, bus.Service{Name: "test"}, rpc.Handler(func(context.Context, []byte) (iter.Seq2[[]byte, error], error) {
		return func(yield func([]byte, error) bool) { yield(make([]byte, 60_000), nil) }, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	s.openWith(1, rpc.Describe(), 1000)
	address := <-s.replies
	s.subs[wire.ControlSubjects(srv.Instance())](transport.Msg{Subject: address, Data: wire.Cancel{Call: 1}.Append(nil)})
	<-s.ended
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}
