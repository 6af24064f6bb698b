// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

// ProcessesV2 is version 2: also what each process uses, its state and its
// command line. Its types are the model's.
var ProcessesV2 = staterpc.RPC[Query, Table, Update]{Name: "procs.table", Version: 2}

var processes2 = versioned.New(ProcessesV2, versioned.Via(processes1, upFrom1, downTo1))

var upFrom1 = staterpc.Convert(same[Query], TableV1.Model, UpdateV1.Model)

// downTo1 is written out because it needs more than the update to convert it:
// most changes are of fields that version 1 does not have, and a caller of
// version 1 is not to hear of them.
func downTo1(f staterpc.Func[Query, Table, Update]) staterpc.Func[Query, TableV1, UpdateV1] {
	return func(ctx context.Context, q Query) (TableV1, iter.Seq2[UpdateV1, error], error) {
		table, updates, err := f(ctx, q)
		if err != nil {
			return TableV1{}, nil, err
		}
		held := table.V1() // by the caller
		return held, piperpc.Split(updates, func(u Update, yield func(UpdateV1) bool) error {
			u1 := u.V1()
			u1.Changed = slices.DeleteFunc(u1.Changed, held.has)
			if len(u1.Started)+len(u1.Exited)+len(u1.Changed) == 0 {
				return nil
			}
			held = held.Apply(u1)
			yield(u1)
			return nil
		}), nil
	}
}

func (t TableV1) has(p ProcessV1) bool {
	i, found := slices.BinarySearchFunc(t.Processes, p.PID, func(p ProcessV1, pid int32) int { return cmp.Compare(p.PID, pid) })
	return found && t.Processes[i] == p
}

// V1 returns p without what version 1 does not have.
func (p Process) V1() ProcessV1 { return ProcessV1{p.PID, p.Parent, p.Name} }

// V1 returns t as version 1 has it.
func (t Table) V1() TableV1 { return TableV1{t.Seq, each(t.Processes, Process.V1)} }

// V1 returns u as version 1 has it. Of its changes, some may change nothing there.
func (u Update) V1() UpdateV1 {
	return UpdateV1{u.Seq, u.Exited, each(u.Started, Process.V1), each(u.Changed, Process.V1)}
}

// Model returns p with zero for what version 1 does not have.
func (p ProcessV1) Model() Process { return Process{PID: p.PID, Parent: p.Parent, Name: p.Name} }

// Model returns t in the model's types.
func (t TableV1) Model() Table { return Table{t.Seq, each(t.Processes, ProcessV1.Model)} }

// Model returns u in the model's types.
func (u UpdateV1) Model() Update {
	return Update{u.Seq, u.Exited, each(u.Started, ProcessV1.Model), each(u.Changed, ProcessV1.Model)}
}

func same[T any](v T) T { return v }

func each[A, B any](as []A, f func(A) B) []B {
	bs := make([]B, 0, len(as))
	for _, a := range as {
		bs = append(bs, f(a))
	}
	return bs
}
