// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

func TestTracing(t *testing.T) {
	run(t, []scenario{
		{"S004 an error of the application travels as a value and is counted as rejected", valueInError},
		{"S015 an error of the application that is too large keeps its kind where it was made", errorTooLarge},
		{"S035 both sides of a call tell the same sizes under one id", bothSides},
		{"S051 a message is over for its sender once it is sent", messageSent},
		{"S109 a panic of each handler is told to what is around it", panicsTold},
		{"S111 a rule that panics changes no answer", ruleThatPanics},
		{"S112 S113 S114 S115 what an answer holds is for the program's own rule", ownRules},
		{"S165 a good answer is no question for the rules of errors", noQuestion},
	})
}

// A tracing keeps what both sides of calls tell.
type tracing struct {
	mu   sync.Mutex
	told []bus.TraceEvent
}

func (tr *tracing) tell(ev bus.TraceEvent) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.told = append(tr.told, ev)
}

// at returns what one side told.
func (tr *tracing) at(received bool) []bus.TraceEvent {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(tr.told), func(ev bus.TraceEvent) bool { return ev.Received != received })
}

// steps are the kinds and sizes that one side told.
func (tr *tracing) steps(received bool) string {
	var steps []string
	for _, ev := range tr.at(received) {
		steps = append(steps, fmt.Sprint(ev.Kind, " ", ev.Bytes))
	}
	return strings.Join(steps, ", ")
}

// outcomes are what the calls of one side are counted as.
func (tr *tracing) outcomes(received bool) string {
	var outcomes []string
	for _, ev := range tr.at(received) {
		if ev.Kind == bus.Ended {
			outcomes = append(outcomes, string(bus.OutcomeOf(ev.Err)))
		}
	}
	return strings.Join(outcomes, ", ")
}

// dial dials handlers and traces both sides.
func (tr *tracing) dial(t *testing.T, d dial, handlers ...bus.Handler) bus.Caller {
	for i, h := range handlers {
		handlers[i] = h.With(bus.Trace(tr.tell))
	}
	return bus.Wrap(d(t, handlers...), bus.Trace(tr.tell))
}

// A result is an answer that may itself be of a failure.
type result struct {
	N    int
	Bad  bool
	Rest *result
}

// A failure is a result as an error of its RPC.
type failure struct{ Result result }

func (f *failure) Error() string { return fmt.Sprint("failure of ", f.Result.N) }

var judged = unaryrpc.RPC[int, result]{Name: "s.judged", Version: 1, Errors: []bus.ErrorType{bus.ErrorOf[*failure]("failure")}}

func valueInError(t *testing.T, d dial) {
	var tr tracing
	c := tr.dial(t, d, judged.Handler(func(_ context.Context, n int) (result, error) {
		return result{}, &failure{result{N: n, Bad: true}}
	}))
	_, err := judged.Client(c)(within(t), 8)
	f, ok := errors.AsType[*failure](err)
	if !ok || f.Result != (result{N: 8, Bad: true}) {
		t.Fatalf("%v does not hold the value", err)
	}
	saw(t, "the caller's count", tr.outcomes(false), bus.Rejected)
	saw(t, "the responder's count", tr.outcomes(true), bus.Rejected)
}

// A bulky error is larger than an error may be.
type bulky struct{ Text string }

func (b *bulky) Error() string { return "bulky" }

func errorTooLarge(t *testing.T, d dial) {
	var tr tracing
	rpc := unaryrpc.RPC[int, int]{Name: "s.bulky", Version: 1, Errors: []bus.ErrorType{bus.ErrorOf[*bulky]("bulky")}}
	c := tr.dial(t, d, number.Handler(echo), rpc.Handler(func(context.Context, int) (int, error) {
		return 0, &bulky{strings.Repeat("x", 1<<20)}
	}))
	_, err := rpc.Client(c)(within(t), 0)
	failed(t, err, bus.Failed, "bulky", "1048587 bytes", "at most")
	events := tr.at(true)
	if len(events) != 2 {
		t.Fatalf("the responder was told %v", events)
	}
	if _, ok := errors.AsType[*bulky](events[1].Err); !ok {
		t.Errorf("the responder was told %v, want the error itself", events[1].Err)
	}
	works(t, c)
}

func bothSides(t *testing.T, d dial) {
	var tr tracing
	c := tr.dial(t, d, text.Handler(func(_ context.Context, s string) (string, error) { return s + s, nil }))
	saw(t, "answer", outcome(text.Client(c)(within(t), "123456")), "123456123456")
	const steps = "queried 8, accepted 14, ended 0"
	saw(t, "the caller's steps", tr.steps(false), steps)
	saw(t, "the responder's steps", tr.steps(true), steps)
	for i, here := range tr.at(false) {
		there := tr.at(true)[i]
		if there.CallID == "" || here.Kind != bus.Queried && here.CallID != there.CallID {
			t.Errorf("%v: the ids are %q and %q", here.Kind, here.CallID, there.CallID)
		}
	}
}

func messageSent(t *testing.T, d dial) {
	var tr tracing
	handled := make(chan string, 1)
	c := bus.Wrap(d(t, message.Handler(func(_ context.Context, m string) error { handled <- m; return nil })), bus.Trace(tr.tell))
	if err := message.Client(c)(within(t), "four"); err != nil {
		t.Fatal(err)
	}
	saw(t, "steps", tr.steps(false), "queried 6, accepted 0, ended 0")
	saw(t, "count", tr.outcomes(false), bus.Succeeded)
	await(t, "the message", handled)
}

func panicsTold(t *testing.T, d dial) {
	var tr tracing
	raw := unaryrpc.RPC[int, int]{Name: "s.raw", Version: 1}
	c := tr.dial(t, d, upTo(), number.Handler(echo),
		text.Handler(func(context.Context, string) (string, error) { panic("typed") }),
		bus.Handler{Description: raw.Describe(), Call: func(context.Context, bus.Call) (bus.Reply, error) { panic("raw") }},
		state.Handler(func(context.Context, int) (int, iter.Seq2[int, error], error) { panic("state") }))
	saw(t, "typed", outcome(text.Client(c)(within(t), "")), string(bus.Panicked))
	saw(t, "raw", outcome(raw.Client(c)(within(t), 0)), string(bus.Panicked))
	_, _, err := state.Client(c)(within(t), 0)
	failed(t, err, bus.Panicked)
	saw(t, "told", tr.outcomes(true), "faulty, faulty, faulty")
	works(t, c)
}

func ruleThatPanics(t *testing.T, d dial) {
	var tr tracing
	rule := bus.Trace(func(ev bus.TraceEvent) { panic("no rule for " + ev.Kind.String()) })
	c := bus.Wrap(d(t, number.Handler(echo).With(rule), upTo().With(rule)), rule, bus.Trace(tr.tell))
	saw(t, "answer", outcome(number.Client(c)(within(t), 5)), "5")
	saw(t, "updates", heard(numbers.Client(c)(within(t), 3)), "0 1 2")
	saw(t, "counted", tr.outcomes(false), "succeeded, succeeded")
}

// rejecting makes failures of the answers that a rule calls bad.
func rejecting(bad func(result) bool, answer result) unaryrpc.Func[int, result] {
	return func(context.Context, int) (result, error) {
		if bad(answer) {
			return result{}, &failure{answer}
		}
		return answer, nil
	}
}

func ownRules(t *testing.T, d dial) {
	none := func(result) bool { return false }
	first := func(r result) bool { return r.Bad }
	second := func(r result) bool { return r.Rest != nil && r.Rest.Bad }
	either := func(r result) bool { return first(r) || second(r) }
	odd := func(r result) bool { return r.Bad || r.N%2 == 1 }
	good, bad := result{}, result{Bad: true}
	for _, tc := range []struct {
		name   string
		rule   func(result) bool
		answer result
		want   bus.Outcome
	}{
		{"S112 without a rule a failure is an answer", none, bad, bus.Succeeded},
		{"S113 a rule of one level sees no second", first, result{Rest: &bad}, bus.Succeeded},
		{"S113 a rule of two levels does", either, result{Rest: &bad}, bus.Rejected},
		{"S114 good, and the inner rule says no", odd, result{N: 2}, bus.Succeeded},
		{"S114 good, and the inner rule says yes", odd, result{N: 1}, bus.Rejected},
		{"S114 bad", odd, result{N: 2, Bad: true}, bus.Rejected},
		{"S115 a pair whose second half is good", second, result{N: 1, Rest: &good}, bus.Succeeded},
		{"S115 a pair whose second half is bad", second, result{N: 1, Rest: &bad}, bus.Rejected},
	} {
		var tr tracing
		c := tr.dial(t, d, judged.Handler(rejecting(tc.rule, tc.answer)))
		got, err := judged.Client(c)(within(t), 0)
		if f, ok := errors.AsType[*failure](err); ok {
			got = f.Result
		}
		saw(t, tc.name+": value", fmt.Sprint(got.N, got.Bad, got.Rest != nil), fmt.Sprint(tc.answer.N, tc.answer.Bad, tc.answer.Rest != nil))
		saw(t, tc.name+": the caller's count", tr.outcomes(false), tc.want)
		saw(t, tc.name+": the responder's count", tr.outcomes(true), tc.want)
	}
}

// An asked error counts how often it is compared.
type asked struct{ times *int }

func (a asked) Error() string        { return "asked" }
func (a asked) Is(target error) bool { *a.times++; return target == errAsked }

var errAsked = errors.New("asked for")

func noQuestion(t *testing.T, d dial) {
	times := 0
	rpc := unaryrpc.RPC[int, int]{Name: "s.asked", Version: 1, Errors: []bus.ErrorType{bus.Sentinel("asked", errAsked)}}
	c := d(t, rpc.Handler(func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, asked{&times}
		}
		return n, nil
	}))
	saw(t, "answer", outcome(rpc.Client(c)(within(t), 1)), "1")
	saw(t, "questions", times, 0)
	_, err := rpc.Client(c)(within(t), -1)
	if !errors.Is(err, errAsked) || times == 0 {
		t.Errorf("%v after %d questions", err, times)
	}
}
