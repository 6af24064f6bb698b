// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"time"
)

// small is a workload of each shape that takes no time.
func small() []cell {
	of := func(shape, system string, l load) cell {
		return cell{workload{name: shape, shape: shape, load: l}, system}
	}
	var all []cell
	for _, system := range []string{"durabus", "raw", "grpc", "drpc"} {
		all = append(all,
			of("unary", system, load{Size: 16, Callers: 2}),
			of("stream", system, load{Size: 16, Streams: 2}),
			of("sparse", system, load{Size: 16, Gap: time.Millisecond}),
			of("fanout", system, load{Size: 16, Streams: 4, Conns: 2, Window: 16}))
	}
	for _, system := range []string{"durabus", "durabus-publisher", "grpc", "drpc"} {
		all = append(all, of("idle", system, load{Streams: 4, Conns: 2}))
	}
	return append(all,
		of("unary", "psrpc", load{Size: 16, Callers: 2}),
		of("stream", "psrpc", load{Size: 16}),
		of("fanout", "raw-shared", load{Size: 16, Streams: 4, Conns: 2, Window: 16}),
		of("unary", "micro", load{Size: 16, Callers: 2}),
		of("stream", "packed", load{Size: 16}),
		of("stream", "packed-bytes", load{Size: 16}),
		of("stream", "durabus-bytes", load{Size: 16}),
		of("stream", "durabus-layers", load{Size: 16}),
		of("fanout", "durabus", load{Size: 16, Streams: 4, Conns: 2, Window: 16, Hole: true, Broker: "documented"}),
		of("snapshot", "durabus", load{Size: 1 << 20}),
		of("recovery", "durabus", load{Conns: 2, States: 2, Size: 16, Gap: time.Millisecond}))
}

func TestEveryShapeCanBeMeasured(t *testing.T) {
	for _, c := range small() {
		m, err := c.measure(t.Context(), options{span: 5 * time.Millisecond}, 0)
		if err != nil {
			t.Errorf("%s: %v", c, err)
			continue
		}
		if v, ok := m[c.primary()]; !ok || v < 0 || c.shape != "idle" && v == 0 {
			t.Errorf("%s: %s is %v, in %v", c, c.primary(), v, m)
		}
	}
}

func TestChildrenEndWhenTheirParentDoes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := start(ctx, "broker", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.do(request{Do: "listen"}); err != nil {
		t.Fatal(err)
	}
	if err := p.in.Close(); err != nil { // as the end of a process does
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestAnInterruptedTrialLeavesNoProcess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tr := &trial{cell: cell{workload{name: "unary", shape: "unary"}, "raw"}, ctx: ctx}
	if err := tr.begin(); err != nil {
		t.Fatal(err)
	}
	cancel()
	tr.end()
	for _, p := range tr.processes() {
		if p.cmd.ProcessState == nil {
			t.Errorf("the %s was not waited for", p.role)
		}
	}
}
