// SPDX-License-Identifier: Apache-2.0

package procs_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/procs"
	"github.com/durabus/durabus/versioned"
)

// Old and new programs find a version that both have.
func ExampleProcesses() {
	fmt.Println(procs.Processes.Name(), procs.Processes.Versions())
	fmt.Println(versioned.Choose(procs.Processes, procs.Processes))
	fmt.Println(versioned.Choose(procs.Processes, procs.ProcessesV1))
	fmt.Println(versioned.Choose(procs.ProcessesV1, procs.Processes))
	// Output:
	// procs.table [2 1]
	// procs.table.v2 <nil>
	// procs.table.v1 <nil>
	// procs.table.v1 <nil>
}

// scripted serves a table of two and updates of it. The second and the fourth
// change only what version 1 does not have.
func scripted(context.Context, procs.Query) (procs.Table, iter.Seq2[procs.Update, error], error) {
	busy, renamed, busier := line(5, "five"), line(5, "renamed"), line(5, "renamed")
	busy.CPU, renamed.CPU, busier.CPU = 1000, 1000, 2000
	updates := []procs.Update{
		{Seq: 2, Started: []procs.Process{line(7, "seven")}},
		{Seq: 3, Changed: []procs.Process{busy}},
		{Seq: 4, Exited: []int32{7}, Changed: []procs.Process{renamed}},
		{Seq: 5, Changed: []procs.Process{busier}},
		{Seq: 6, Changed: []procs.Process{busy}},
	}
	return table(1, line(2, "two"), line(5, "five")), func(yield func(procs.Update, error) bool) {
		for _, u := range updates {
			if !yield(u, nil) {
				return
			}
		}
	}, nil
}

func TestEveryVersionFollowsTheTable(t *testing.T) {
	for _, c := range []struct {
		name    string
		serve   int // the newest version that is served
		version int // that is used
		seqs    []uint64
	}{
		{"version 2 hears of everything", 2, 2, []uint64{1, 2, 3, 4, 5, 6}},
		{"version 1 does not hear of what it does not have", 1, 1, []uint64{1, 2, 4, 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var handlers []bus.Handler
			for _, h := range procs.Processes.Handlers(scripted) {
				if h.Version <= c.serve {
					handlers = append(handlers, h)
				}
			}
			var info bus.Info
			replica, updates, err := procs.Processes.Client(bus.Local(handlers...))(bus.WithInfo(t.Context(), &info), procs.Query{})
			if err != nil {
				t.Fatal(err)
			}
			if info.RPC.Version != c.version {
				t.Fatalf("answered by %v", info.RPC)
			}
			original, steps, _ := scripted(t.Context(), procs.Query{})
			digests := map[uint64]string{original.Seq: original.Digests()[c.version]}
			for u := range steps {
				original = original.Apply(u)
				digests[original.Seq] = original.Digests()[c.version]
			}

			seqs := []uint64{replica.Seq}
			for u, err := range updates {
				if err != nil {
					t.Fatal(err)
				}
				replica = replica.Apply(u)
				seqs = append(seqs, replica.Seq)
				if replica.Digests()[c.version] != digests[replica.Seq] {
					t.Errorf("at %d the replica is %+v", replica.Seq, replica)
				}
			}
			if fmt.Sprint(seqs) != fmt.Sprint(c.seqs) {
				t.Errorf("heard of %v, want %v", seqs, c.seqs)
			}
		})
	}
}

func TestForgottenReachesTheCallerAsItself(t *testing.T) {
	want := procs.Forgotten{Moment: procs.Moment{Version: 2, Seq: 9}, Oldest: 3, Newest: 7}
	h := procs.Checksum.Handler(func(context.Context, procs.Moment) (string, error) { return "", &want })
	_, err := procs.Checksum.Client(bus.Local(h))(t.Context(), want.Moment)
	got, ok := errors.AsType[*procs.Forgotten](err)
	if !ok || *got != want {
		t.Errorf("got %v", err)
	}
}
