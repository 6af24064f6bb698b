// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/piperpc"
)

// A caller breaks the rule and gives the id of a call that goes on to another, of
// another RPC. Its session knows calls by their ids: one that it does not find any
// more must not stay behind, and hold up Close for ever.
func TestACallWhoseIDIsUsedAgainEnds(t *testing.T) {
	opening := open(5, bus.Pipe)
	inPieces := opening
	inPieces.Query, inPieces.Total = nil, 3
	for name, requests := range map[string][2]wire.Open{
		"two streams":                   {opening, opening},
		"two queries that never come":   {inPieces, inPieces},
		"a stream, then such a query":   {opening, inPieces},
		"such a query, then the stream": {inPieces, opening},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var first, second atomic.Int64
				r := raidOn(t, waiting("wait.first", &first), waiting("wait.second", &second))
				r.ask("wait.first.v1", packet(5, requests[0].Append(nil)))
				r.dropped("repeated request", func() {
					r.ask("wait.second.v1", packet(5, requests[1].Append(nil)))
				})
				if first.Load() != 0 {
					t.Error("the first call goes on, and nothing ends it any more")
				}
				if n := second.Load(); requests[1].Total == 0 && n != 1 {
					t.Errorf("%d streams of the second call, want its one", n)
				}
				time.Sleep(time.Minute)
				if second.Load() != 0 {
					t.Error("the second call has outlived its caller")
				}
			})
		})
	}
}

// waiting serves streams that end when they are ended, and counts them.
func waiting(name string, open *atomic.Int64) bus.Handler {
	return piperpc.RPC[[]byte, int]{Name: name, Version: 1}.Handler(func(ctx context.Context, _ []byte) (iter.Seq2[int, error], error) {
		return func(func(int, error) bool) {
			open.Add(1)
			defer open.Add(-1)
			<-ctx.Done()
		}, nil
	})
}
