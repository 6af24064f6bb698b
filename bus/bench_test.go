// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
)

var benchedRPC = unaryrpc.RPC[*wrapperspb.BytesValue, *wrapperspb.BytesValue]{Name: "bench.echo", Version: 1}

// benched returns calls to an echo over the simulated network.
func benched(t testing.TB) func() {
	net := transport.NewNet(1)
	srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "bench"},
		benchedRPC.Handler(func(_ context.Context, q *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) { return q, nil }))
	if err != nil {
		t.Fatal(err)
	}
	client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
	t.Cleanup(func() { _, _ = client.Close(), srv.Close() })
	call, query := benchedRPC.Client(client), wrapperspb.Bytes(make([]byte, 14))
	return func() {
		if _, err := call(context.Background(), query); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkUnaryCall(b *testing.B) {
	call := benched(b)
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}
