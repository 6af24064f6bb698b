// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/staterpc"
)

// childKeeper serves a tally that is its process's own, and grows.
func childKeeper(ctx context.Context, url string) error {
	nc, err := bus.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	me := tally{Keeper: os.Getpid()}
	pub := staterpc.NewPublisher(me, func(_, now tally) tally { return now }, 1000).Keep(staterpc.Backlog[tally]{Updates: 10_000})
	srv, err := bus.Serve(nc, bus.Service{Name: "keeper"}, tallyRPC.Handler(
		func(ctx context.Context, _ int) (tally, iter.Seq2[tally, error], error) { return pub.Watch(ctx) }))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			me.N++
			pub.Publish(me)
		case <-ctx.Done():
			return srv.Close()
		}
	}
}

// Each keeper is an epoch. Over its death and the broker's a replica is always at
// a position that one of them had; over the broker's it is not fetched anew.
func TestAReplicaOutlivesItsRespondersProcessAndTheBroker(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	old := startChild(t, "keeper", brk.URL())
	var wrong atomic.Int64
	apply := func(s, u tally) tally {
		if u != (tally{s.Keeper, s.N + 1}) {
			wrong.Add(1)
		}
		return u
	}
	r := durable.NewReplica(t.Context(), tallyRPC.Client(client(t, brk.URL())), 0, apply, durable.Policy{Resume: true})
	defer r.Close()
	lives := func(what string, keeper *child, snapshots uint64) {
		t.Helper()
		start, from := time.Now(), uint64(0)
		eventually(t, what, func() bool {
			v := r.View()
			if v.Exact && v.Position != uint64(v.State.N) {
				t.Fatalf("%s: %+v", what, v)
			}
			if !v.Live || v.State.Keeper != keeper.cmd.Process.Pid {
				return false
			}
			if from == 0 {
				from = v.Position + 1
			}
			return v.Position > from+20 && v.Snapshots == snapshots
		})
		t.Logf("%s: live and 20 updates further after %v", what, time.Since(start))
	}
	stale := func(what string) {
		t.Helper()
		eventually(t, what, func() bool { v := r.View(); return !v.Live && v.Err != nil })
	}
	lives("at first", old, 1)

	old.signal(t, syscall.SIGKILL)
	stale("a replica that knows of its responder's death")
	epoch := r.View().Info.Epoch
	next := startChild(t, "keeper", brk.URL())
	lives("after a SIGKILL", next, 2)
	if v := r.View(); v.Info.Epoch == epoch {
		t.Errorf("two processes have one epoch")
	}

	epoch = r.View().Info.Epoch
	brk.Kill()
	stale("a replica that knows of its broker's death")
	restart(t, brk)
	lives("after a restart of the broker", next, 2)
	if v := r.View(); v.Info.Epoch != epoch {
		t.Errorf("one process has two epochs")
	}
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d updates did not follow the one before", n)
	}
}

// A session is with one responder, and over when that stops talking to us.
type session struct {
	instance string
	ticks    atomic.Int64
	over     chan struct{}
	leave    context.CancelFunc
}

func (s *session) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// sessions says how sessions are made through c, and counts them.
func sessions(c bus.Caller, made *atomic.Int64) durable.Recipe[*session] {
	return durable.Recipe[*session]{
		Create: func(ctx context.Context) (*session, error) {
			made.Add(1)
			s := &session{over: make(chan struct{})}
			living, leave := context.WithCancel(context.Background())
			stop := context.AfterFunc(ctx, leave) // while it is made
			defer stop()
			s.leave = leave
			var info bus.Info
			updates, err := ticksRPC.Client(c)(bus.WithInfo(living, &info), 0)
			if err != nil {
				leave()
				return nil, err
			}
			s.instance = info.Instance
			go func() {
				defer close(s.over)
				for _, err := range updates {
					if err == nil {
						s.ticks.Add(1)
					}
				}
			}()
			return s, nil
		},
		Broken: (*session).isOver,
		Discard: func(s *session) {
			s.leave()
			<-s.over
		},
	}
}

func TestAValueIsMadeAgainAfterItsRespondersProcessOrTheBrokerDied(t *testing.T) {
	const users = 50
	brk := runBroker(t, broker.Options{})
	old := startChild(t, "responder", brk.URL())
	var made atomic.Int64
	v := durable.NewValue(sessions(client(t, brk.URL()), &made))
	defer v.Close()
	// get has all users use the value, and returns the one session that they get.
	get := func() (*session, error) {
		var mu sync.Mutex
		var got *session
		var failed error
		var all sync.WaitGroup
		for range users {
			all.Go(func() {
				s, err := v.Get(t.Context())
				mu.Lock()
				defer mu.Unlock()
				if err == nil && got != nil && got != s {
					err = errors.New("two sessions at a time")
				}
				got, failed = s, errors.Join(failed, err)
			})
		}
		all.Wait()
		return got, failed
	}
	first, err := get()
	if err != nil || made.Load() != 1 {
		t.Fatalf("%d sessions were made: %v", made.Load(), err)
	}
	next := startChild(t, "responder", brk.URL())
	old.signal(t, syscall.SIGKILL)
	eventually(t, "a value that is seen to be broken", func() bool { return !v.Check() })
	second, err := get()
	if err != nil || made.Load() != 2 || second.instance == first.instance {
		t.Fatalf("%d sessions were made after a SIGKILL: %v", made.Load(), err)
	}

	brk.Kill()
	restart(t, brk)
	var third *session
	eventually(t, "a session after a restart of the broker", func() bool {
		third, err = get()
		if err != nil {
			return false
		}
		ticks := third.ticks.Load()
		pace(t.Context(), 200*time.Millisecond)
		return third.ticks.Load() > ticks
	})
	if third.instance != second.instance {
		t.Errorf("the session is with %s, of whom there is only %s", third.instance, second.instance)
	}
	t.Logf("%d sessions were made", made.Load())
	next.signal(t, syscall.SIGKILL)
}
