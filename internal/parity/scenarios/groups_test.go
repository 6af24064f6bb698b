// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

func TestGroups(t *testing.T) {
	run(t, []scenario{
		{"S131 members read 0 then 1, and 2 then 3", lastValue},
		{"S132 an empty value is given to a member that joins", emptyValue},
		{"S136 a value of 10000 bytes is sent whole", func(t *testing.T, d dial) {
			p := staterpc.NewPublisher("", latest[string], 4)
			m := join(t, texts.Client(d(t, publishing(texts, p))))
			p.Publish(strings.Repeat("x", 10000))
			saw(t, "update", m.next(t), strings.Repeat("x", 10000))
		}},
		{"S137 without a value to keep, who joins late reads what is later", func(t *testing.T, d dial) {
			p := staterpc.NewPublisher(0, func(int, int) int { return 0 }, 4)
			c := d(t, publishing(state, p))
			p.Publish(1)
			m := join(t, state.Client(c))
			p.Publish(2)
			saw(t, "first", m.first, 0)
			saw(t, "next", m.next(t), 2)
		}},
		{"S140 two conversions of 3 read 6 and 7", twoConversions},
		{"S142 members of two versions read 1 2, then 3 3, then 4 4", twoVersionsJoin},
	})
}

var texts = staterpc.RPC[int, string, string]{Name: "s.texts", Version: 1}

func latest[T any](_, update T) T { return update }

func publishing[T any](rpc staterpc.RPC[int, T, T], p *staterpc.Publisher[T, T]) bus.Handler {
	return rpc.Handler(watching(p))
}

func watching[T any](p *staterpc.Publisher[T, T]) staterpc.Func[int, T, T] {
	return func(ctx context.Context, _ int) (T, iter.Seq2[T, error], error) { return p.Watch(ctx) }
}

// A member is a watcher that reads one update at a time.
type member[T any] struct {
	first T
	pull  func() (T, error, bool)
	leave func()
}

func join[T any](t *testing.T, f staterpc.Func[int, T, T]) member[T] {
	t.Helper()
	first, updates, err := f(within(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	pull, leave := iter.Pull2(updates)
	t.Cleanup(leave)
	return member[T]{first, pull, leave}
}

func (m member[T]) next(t *testing.T) string {
	t.Helper()
	v, err, ok := m.pull()
	if !ok {
		return "end"
	}
	return outcome(v, err)
}

func lastValue(t *testing.T, d dial) {
	p := staterpc.NewPublisher(-1, latest[int], 4)
	c := d(t, publishing(state, p))
	p.Publish(0)
	one := join(t, state.Client(c))
	p.Publish(1)
	saw(t, "the first member", fmt.Sprint(one.first, " ", one.next(t)), "0 1")
	one.leave()
	p.Publish(2)
	two := join(t, state.Client(c))
	p.Publish(3)
	saw(t, "the second member", fmt.Sprint(two.first, " ", two.next(t)), "2 3")
}

func emptyValue(t *testing.T, d dial) {
	p := staterpc.NewPublisher("none yet", latest[string], 4)
	c := d(t, publishing(texts, p))
	one := join(t, texts.Client(c))
	p.Publish("")
	saw(t, "the first member", one.next(t), "")
	saw(t, "the second member", join(t, texts.Client(c)).first, "")
}

// converted is a family of the state as it is at version 2, converted by f at
// version 1.
func converted(one staterpc.RPC[int, int, int], f func(int) int) versioned.Family[staterpc.Func[int, int, int]] {
	two := staterpc.RPC[int, int, int]{Name: one.Name, Version: 2}
	same := func(n int) int { return n }
	return versioned.New(two, versioned.Via(one,
		staterpc.Convert(same, same, same), staterpc.Convert(same, f, f)))
}

func twoConversions(t *testing.T, d dial) {
	p := staterpc.NewPublisher(0, latest[int], 4)
	double, plus4 := func(n int) int { return 2 * n }, func(n int) int { return n + 4 }
	other := staterpc.RPC[int, int, int]{Name: "s.other", Version: 1}
	c := d(t, slices.Concat(converted(state, double).Handlers(watching(p)), converted(other, plus4).Handlers(watching(p)))...)
	one, two := join(t, state.Client(c)), join(t, other.Client(c))
	p.Publish(3)
	saw(t, "reads", one.next(t)+" "+two.next(t), "6 7")
}

func twoVersionsJoin(t *testing.T, d dial) {
	p := staterpc.NewPublisher(0, latest[int], 4)
	family := converted(state, func(n int) int { return -n })
	c := d(t, family.Handlers(watching(p))...)
	p.Publish(1)
	m := join(t, family.Client(c))
	p.Publish(2)
	saw(t, "alone", fmt.Sprint(m.first, " ", m.next(t)), "1 2")
	m.leave()
	p.Publish(3)
	old, young := join(t, state.Client(c)), join(t, family.Client(c))
	saw(t, "at joining", fmt.Sprint(old.first, " ", young.first), "-3 3")
	p.Publish(4)
	saw(t, "after", old.next(t)+" "+young.next(t), "-4 4")
}

func TestMembersThatStay(t *testing.T) {
	run(t, []scenario{
		{"S141 who joins after a write reads it, on both versions", func(t *testing.T, d dial) {
			p := staterpc.NewPublisher(0, latest[int], 4)
			family := converted(state, func(n int) int { return n })
			c := d(t, family.Handlers(watching(p))...)
			p.Publish(5)
			for range 2 {
				saw(t, "version 1", join(t, state.Client(c)).first, 5)
				saw(t, "version 2", join(t, family.Client(c)).first, 5)
			}
		}},
		{"S150 one reader that stalls does not stop another", func(t *testing.T, d dial) {
			c := d(t, upTo())
			stalled, err := numbers.Client(c)(within(t), 1000)
			if err != nil {
				t.Fatal(err)
			}
			next, stop := iter.Pull2(stalled)
			defer stop()
			next()
			read := 0
			others, err := numbers.Client(c)(within(t), 1000)
			for _, end := range piperpc.Map(others, func(n int) (int, error) { return n, err }) {
				if end == nil {
					read++
				}
			}
			saw(t, "read by the other", read, 1000)
		}},
	})
}
