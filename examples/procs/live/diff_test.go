// SPDX-License-Identifier: Apache-2.0

package live

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/durabus/durabus/examples/procs"
)

func seen(pid int32, created int64, name string) observation {
	return observation{procs.Process{PID: pid, Name: name}, created}
}

func lines(sample []observation) (ps []procs.Process) {
	for _, o := range sample {
		ps = append(ps, o.Process)
	}
	return ps
}

func TestADiffSaysWhatStartedExitedAndChanged(t *testing.T) {
	old := []observation{seen(2, 100, "two"), seen(5, 100, "five"), seen(9, 100, "nine")}
	next := []observation{seen(1, 200, "one"), seen(5, 100, "renamed"), seen(9, 200, "another"), seen(12, 200, "twelve")}
	want := procs.Update{
		Exited:  []int32{2, 9},
		Started: lines([]observation{next[0], next[2], next[3]}),
		Changed: lines(next[1:2]),
	}
	if got := diff(old, next); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := diff(next, next); got.Len() != 0 {
		t.Errorf("nothing changed, got %+v", got)
	}
}

func TestApplyingADiffGivesTheNextSample(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() (sample []observation) {
		for pid := range int32(12) {
			if r.IntN(2) == 0 {
				sample = append(sample, seen(pid, r.Int64N(3), string(rune('a'+r.IntN(3)))))
			}
		}
		return sample
	}
	old, replica := random(), procs.Table{}
	replica = replica.Apply(diff(nil, old))
	for range 2000 {
		next := random()
		replica = replica.Apply(diff(old, next))
		want := procs.Table{Processes: lines(next)}
		if !reflect.DeepEqual(replica.Digests(), want.Digests()) {
			t.Fatalf("from %+v\nto   %+v\ngot  %+v", old, next, replica.Processes)
		}
		old = next
	}
}
