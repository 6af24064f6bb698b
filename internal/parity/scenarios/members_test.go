// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

// Members come and go by themselves; a Publisher counts them and waits for none.
func TestMembersOfAPublisher(t *testing.T) {
	run(t, []scenario{
		{"S134 who is gone already does not join, and who joins twice is two", joinsTwice},
		{"S135 a member that left gets no more, and is not counted", memberLeaves},
		{"S139 four members of two names and two versions read 5, 1 and twice the whole", fourConversions},
		{"S143 when Publish returns members of two versions have the update before them", publishedToBoth},
		{"S144 S145 Publish waits neither for members that leave unread nor for none", waitsForNobody},
	})
}

func joinsTwice(t *testing.T, d dial) {
	p := staterpc.NewPublisher(0, latest[int], 4)
	gone, cancel := context.WithCancel(within(t))
	cancel()
	if _, _, err := p.Watch(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("joined: %v", err)
	}
	saw(t, "watchers", p.Watchers(), 0)
	c := d(t, publishing(state, p))
	one, two := join(t, state.Client(c)), join(t, state.Client(c))
	saw(t, "watchers", p.Watchers(), 2)
	p.Publish(1)
	saw(t, "reads", one.next(t)+" "+two.next(t), "1 1")
}

func memberLeaves(t *testing.T, d dial) {
	p := staterpc.NewPublisher(0, latest[int], 4)
	c := d(t, publishing(state, p))
	one, two := join(t, state.Client(c)), join(t, state.Client(c))
	p.Publish(1)
	saw(t, "reads", one.next(t)+" "+two.next(t), "1 1")
	one.leave()
	eventually(t, "watchers", p.Watchers, 1)
	p.Publish(2)
	saw(t, "who left reads", one.next(t), "end")
	saw(t, "who stayed reads", two.next(t), "2")
}

// A drink has a length and a first letter, at version 1 of either name.
func fourConversions(t *testing.T, d dial) {
	p := staterpc.NewPublisher("", latest[string], 4)
	whole := staterpc.RPC[int, string, string]{Name: "s.lengths", Version: 2}
	length := staterpc.RPC[int, int, int]{Name: "s.lengths", Version: 1}
	other := staterpc.RPC[int, string, string]{Name: "s.counts", Version: 2}
	count := staterpc.RPC[int, int, int]{Name: "s.counts", Version: 1}
	letters := func(s string) int { return len(s) }
	words := func(string) int { return 1 }
	handlers := slices.Concat(
		versioned.New(whole, versioned.Via(length, nil, staterpc.Convert(unchanged[int], letters, letters))).Handlers(watching(p)),
		versioned.New(other, versioned.Via(count, nil, staterpc.Convert(unchanged[int], words, words))).Handlers(watching(p)))
	c := d(t, handlers...)
	a, b := join(t, length.Client(c)), join(t, count.Client(c))
	wholeA, wholeB := join(t, whole.Client(c)), join(t, other.Client(c))
	saw(t, "watchers", p.Watchers(), 4)
	p.Publish("juice")
	saw(t, "reads", a.next(t)+" "+b.next(t)+" "+wholeA.next(t)+" "+wholeB.next(t), "5 1 juice juice")
}

func publishedToBoth(t *testing.T, d dial) {
	p := staterpc.NewPublisher(0, latest[int], 1)
	family := converted(state, func(n int) int { return -n })
	c := d(t, family.Handlers(watching(p))...)
	old, young := join(t, state.Client(c)), join(t, family.Client(c))
	for n := 1; n <= 3; n++ { // a backlog of one: each must have been read when the next comes
		p.Publish(n)
		saw(t, "reads", old.next(t)+" "+young.next(t), fmt.Sprint(-n, " ", n))
	}
	saw(t, "watchers", p.Watchers(), 2)
}

func waitsForNobody(t *testing.T, d dial) {
	p := staterpc.NewPublisher(0, latest[int], 4)
	c := d(t, publishing(state, p))
	p.Publish(1) // to nobody
	members := []member[int]{join(t, state.Client(c)), join(t, state.Client(c)), join(t, state.Client(c))}
	saw(t, "watchers", p.Watchers(), 3)
	p.Publish(2)
	for _, m := range members {
		m.next(t) // an iterator that was never read has nothing to leave
		m.leave()
	}
	eventually(t, "watchers", p.Watchers, 0)
	p.Publish(3)
	saw(t, "who joins last finds", join(t, state.Client(c)).first, 3)
}

func TestEndsOfStreams(t *testing.T) {
	run(t, []scenario{
		{"S066 the end comes behind what was sent before it", func(t *testing.T, d dial) {
			c := d(t, numbers.Handler(piperpc.Push(1, func(_ context.Context, _ int, w *piperpc.Writer[int]) error {
				go func() { w.Send(1); w.Close(bus.Busy) }()
				return nil
			})))
			saw(t, "heard", heard(numbers.Client(c)(within(t), 0)), "1 busy")
		}},
		{"S081 an error that answers a reader that left harms nothing", errorToNobody},
		{"S119 three updates of a writer at work arrive in order", func(t *testing.T, d dial) {
			writers := make(chan *piperpc.Writer[int], 1)
			c := d(t, numbers.Handler(piperpc.Push(3, func(_ context.Context, _ int, w *piperpc.Writer[int]) error {
				writers <- w
				return nil
			})))
			updates, err := numbers.Client(c)(within(t), 0)
			w := await(t, "the writer", writers)
			for n := range 3 {
				saw(t, "taken", w.Send(n), true)
			}
			w.Close(nil)
			saw(t, "heard", heard(updates, err), "0 1 2")
		}},
	})
}

func errorToNobody(t *testing.T, d dial) {
	ended := make(chan error, 1)
	c := d(t, number.Handler(echo), numbers.Handler(piperpc.Push(1, func(ctx context.Context, _ int, w *piperpc.Writer[int]) error {
		w.Send(1)
		context.AfterFunc(ctx, func() { w.Close(errors.New("you left")); ended <- ctx.Err() })
		return nil
	})))
	for range 3 {
		ctx, cancel := context.WithCancel(within(t))
		updates, err := numbers.Client(c)(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range updates {
			break
		}
		cancel() // within one process the handler's context is the caller's
		await(t, "the handler's end", ended)
		works(t, c)
	}
}
