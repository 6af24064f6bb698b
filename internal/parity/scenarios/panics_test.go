// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// A panic has one policy: it is logged once, and costs its own call.
func TestPanics(t *testing.T) {
	run(t, []scenario{
		{"S006 a panic with an error of the bus is a panic like any other", panicWithError},
		{"S031 a raw handler that forgot its answer fails its call, which says so", noAnswer},
		{"S032 a raw handler panics before its verdict, and after it", rawPanicsTwice},
		{"S033 the updates of a reply are read once", readOnce},
		{"S047 a handler's own middleware decides before that of all handlers", ownMiddleware},
		{"S053 S055 a message that panics when both are being handled is logged once", laterPanic},
		{"S091 S249 a panic of the caller's own code is the caller's", callersPanic},
		{"S096 an update in error leaves its stream open", updateInError},
		{"S099 S100 a panic whose caller has left is only logged", panicBehindCaller},
		{"S101 middleware that panics over a panic costs the call alone", panicOverPanic},
		{"S102 S107 a panic of a handler is one line in the log and one error", panicLogged},
		{"S161 of two for one key the inner middleware decides", func(t *testing.T, d dial) {
			both := func(next bus.CallFunc) bus.CallFunc { return setting("a", "outer")(setting("a", "inner")(next)) }
			saw(t, "metadata", metadataOf(t, d, nil, both), "map[a:inner]")
		}},
	})
}

// setting puts a value in place of what metadata has.
func setting(key, value string) bus.Middleware {
	return func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			c.Metadata = bus.Metadata{key: value}
			return next(ctx, c)
		}
	}
}

// A journal keeps the messages that are logged.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }
func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, r.Message)
	return nil
}

// panics counts the panics that were logged.
func (j *journal) panics() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if line == "durabus: a handler panicked" {
			n++
		}
	}
	return n
}

// journalled logs into a journal until the test is over.
func journalled(t *testing.T) *journal {
	j := &journal{}
	before := slog.Default()
	slog.SetDefault(slog.New(j))
	t.Cleanup(func() { slog.SetDefault(before) })
	return j
}

func panicWithError(t *testing.T, d dial) {
	c := d(t, number.Handler(echo), text.Handler(func(context.Context, string) (string, error) {
		panic(&bus.Error{Code: bus.NoResponder, Message: "of the library's own"})
	}))
	_, err := text.Client(c)(within(t), "")
	failed(t, err, bus.Panicked, "s.text.v1")
	saw(t, "counted", bus.OutcomeOf(err), bus.Faulty)
	works(t, c)
}

func noAnswer(t *testing.T, d dial) {
	raw := unaryrpc.RPC[int, int]{Name: "s.raw", Version: 1}
	c := d(t, number.Handler(echo), bus.Handler{Description: raw.Describe(), Call: func(context.Context, bus.Call) (bus.Reply, error) {
		return bus.Reply{}, nil
	}})
	_, err := raw.Client(c)(within(t), 1)
	failed(t, err, bus.Undecodable, "s.raw.v1", "answer")
	works(t, c)
}

func rawPanicsTwice(t *testing.T, d dial) {
	early := piperpc.RPC[int, int]{Name: "s.early", Version: 1}
	late := piperpc.RPC[int, int]{Name: "s.late", Version: 1}
	c := d(t, number.Handler(echo),
		bus.Handler{Description: early.Describe(), Call: func(context.Context, bus.Call) (bus.Reply, error) { panic("before") }},
		bus.Handler{Description: late.Describe(), Call: func(context.Context, bus.Call) (bus.Reply, error) {
			return bus.Reply{Updates: func(yield func(bus.Element, error) bool) {
				yield(bus.ElementOf([]byte("1")), nil)
				panic("after")
			}}, nil
		}})
	_, err := early.Client(c)(within(t), 0)
	failed(t, err, bus.Panicked, "s.early.v1")
	saw(t, "heard", heard(late.Client(c)(within(t), 0)), "1 panicked")
	works(t, c)
}

func readOnce(t *testing.T, d dial) {
	updates, err := numbers.Client(d(t, upTo()))(within(t), 3)
	saw(t, "once", heard(updates, err), "0 1 2")
	saw(t, "twice", heard(updates, nil), string(bus.Invalid))
}

func ownMiddleware(t *testing.T, d dial) {
	own := func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (r bus.Reply, err error) {
			defer func() {
				if recover() != nil {
					err = bus.Busy
				}
			}()
			return next(ctx, c)
		}
	}
	var tr tracing
	c := tr.dial(t, d, number.Handler(func(context.Context, int) (int, error) { panic("mine") }).With(own))
	saw(t, "answer", outcome(number.Client(c)(within(t), 1)), string(bus.Busy))
	saw(t, "counted by all", tr.outcomes(true), bus.Unavailable)
}

func laterPanic(t *testing.T, d dial) {
	j := journalled(t)
	var both sync.WaitGroup
	both.Add(2)
	handled := make(chan string, 2)
	c := d(t, number.Handler(echo), message.Handler(func(_ context.Context, m string) error {
		both.Done()
		both.Wait()
		handled <- m
		if m == "first" {
			panic(m)
		}
		return nil
	}))
	var senders sync.WaitGroup
	for _, m := range []string{"first", "second"} {
		senders.Go(func() { // within one process a message is handled where it is sent
			if err := message.Client(c)(within(t), m); err != nil {
				t.Error(m, err)
			}
		})
	}
	got := []string{await(t, "a message", handled), await(t, "a message", handled)}
	slices.Sort(got)
	saw(t, "handled", got, "[first second]")
	senders.Wait()
	works(t, c)
	eventually(t, "panics logged", j.panics, 1)
}

func callersPanic(t *testing.T, d dial) {
	ended := make(chan error, 1)
	c := d(t, waiting(ended), number.Handler(echo))
	escaped := func(f func()) (p any) {
		defer func() { p = recover() }()
		f()
		return nil
	}
	updates, err := numbers.Client(c)(within(t), 5)
	if err != nil {
		t.Fatal(err)
	}
	saw(t, "out of the loop", escaped(func() {
		for range updates {
			panic("of the loop")
		}
	}), "of the loop")
	await(t, "the handler's end", ended)
	convert := unaryrpc.Convert(func(int) int { panic("of a conversion") }, unchanged[int])
	saw(t, "out of the call", escaped(func() { _, _ = convert(number.Client(c))(within(t), 1) }), "of a conversion")
	works(t, c)
}

func updateInError(t *testing.T, d dial) {
	c := d(t, numbers.Handler(func(context.Context, int) (iter.Seq2[int, error], error) {
		return piperpc.Map(of(1, 2, 3), func(n int) (int, error) {
			if n == 2 {
				return 0, errors.New("no number")
			}
			return n, nil
		}), nil
	}))
	saw(t, "heard", heard(numbers.Client(c)(within(t), 0)), "1 missing 3")
}

func panicBehindCaller(t *testing.T, d dial) {
	j := journalled(t)
	c := d(t, number.Handler(echo), numbers.Handler(func(context.Context, int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for n := 0; yield(n, nil); n++ {
			}
			panic("nobody is there")
		}, nil
	}))
	updates, err := numbers.Client(c)(within(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range updates {
		break
	}
	eventually(t, "panics logged", j.panics, 1)
	works(t, c)
}

func panicOverPanic(t *testing.T, d dial) {
	over := func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			defer func() {
				if p := recover(); p != nil {
					panic(fmt.Sprint("over ", p))
				}
			}()
			return next(ctx, c)
		}
	}
	c := d(t, number.Handler(echo), text.Handler(func(context.Context, string) (string, error) { panic("first") }).With(over))
	for range 2 {
		_, err := text.Client(c)(within(t), "")
		failed(t, err, bus.Panicked, "s.text.v1")
	}
	works(t, c)
}

func panicLogged(t *testing.T, d dial) {
	j := journalled(t)
	c := d(t, number.Handler(echo), text.Handler(func(context.Context, string) (string, error) { panic("at once") }))
	_, err := text.Client(c)(within(t), "")
	failed(t, err, bus.Panicked, "s.text.v1")
	saw(t, "panics logged", j.panics(), 1)
	works(t, c)
}
