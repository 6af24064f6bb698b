// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/procs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A machine serves a table of one process and an update each time it is told to.
func machine(next <-chan procs.Update) []bus.Handler {
	return procs.Processes.Handlers(func(ctx context.Context, _ procs.Query) (procs.Table, iter.Seq2[procs.Update, error], error) {
		return procs.Table{Seq: 1, Processes: ps(1)}, func(yield func(procs.Update, error) bool) {
			for {
				select {
				case u := <-next:
					if !yield(u, nil) {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}, nil
	})
}

func TestAFollowerWaitsForWhatItsReplicaIsToBe(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	next := make(chan procs.Update)
	var out bytes.Buffer
	p := newPrinter(Options{Out: &out})
	f := follow(ctx, bus.Local(machine(next)...), p.event)

	r, err := f.until(ctx, func(r replica) bool { return r.fresh })
	if err != nil || r.table.Seq != 1 || r.info.RPC != procs.ProcessesV2.Describe() {
		t.Fatalf("%+v, %v", r, err)
	}
	for seq := uint64(2); seq <= 6; seq++ {
		next <- procs.Update{Seq: seq, Started: ps(int32(seq))}
	}
	if r, err = f.until(ctx, func(r replica) bool { return r.updates() == 5 }); err != nil {
		t.Fatal(err)
	}
	if want := (procs.Table{Seq: 6, Processes: ps(1, 2, 3, 4, 5, 6)}); r.digest() != want.Digests()[2] {
		t.Errorf("the replica is %+v", r.table)
	}
	f.recount()
	soon, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	if r, err := f.until(soon, func(r replica) bool { return r.updates() > 0 }); !errors.Is(err, context.DeadlineExceeded) || r.table.Seq != 6 {
		t.Errorf("%+v, %v", r, err)
	}
	f.close()

	for _, want := range []string{"Attempting ", "Connected       procs.table.v2", "1 processes at 1", "to 2: started 2 p", "only counted"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing says %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "to 5:") {
		t.Errorf("every update is printed:\n%s", &out)
	}
}

func TestADemoEndsWithTheFirstActThatFails(t *testing.T) {
	broken := errors.New("broken on purpose")
	var out bytes.Buffer
	s := &stage{printer: newPrinter(Options{Out: &out})}
	fails := act{title: "it fails", do: func(context.Context) error { return broken }}
	err := s.play(t.Context(), []act{fails, fails})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "act 1") {
		t.Errorf("got %v", err)
	}
	if strings.Count(out.String(), "FAILED") != 1 || !strings.Contains(out.String(), "0 of 2 acts match") {
		t.Errorf("it said\n%s", &out)
	}
}
