// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/durabus/durabus/bench/benchpb"
)

// rawShared is raw NATS with one subscription for each connection, which decodes
// an update once and hands it to its watchers: what one would write by hand for
// many watchers in a process.
type rawShared struct{ raw }

func (r rawShared) dialFanout(at place, conns int) (watchCall, error) {
	all := make([]*watchers, conns)
	for i := range all {
		nc, err := r.connect(at)
		if err != nil {
			return nil, err
		}
		w := new(watchers)
		all[i] = w
		_, err = subscribe(nc, "bench.feed", func(m *nats.Msg) {
			v := new(benchpb.Value)
			if proto.Unmarshal(m.Data, v) == nil {
				w.publish(v)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, conn int, got func([]byte)) error {
		return all[conn].watch(ctx, func(v *benchpb.Value) error {
			got(v.Data)
			return nil
		})
	}, nil
}
