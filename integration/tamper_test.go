// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// A harmable is an exchange of few messages whose result is known.
type harmable struct {
	name    string
	want    string
	err     error
	handler bus.Handler
	run     func(context.Context, bus.Caller) (string, error)
	most    int64 // handlers that may run
}

// harmables are one of each way to use frames.
func harmables() []harmable {
	long := strings.Repeat("0123456789abcdef", 300_000/16)
	answer := unaryrpc.RPC[[]byte, []byte]{Name: "answer", Version: 1}
	unary := func(name, query, want string, err error) harmable {
		return harmable{
			name: name, want: want, err: err, most: 1,
			handler: answer.Handler(func(context.Context, []byte) ([]byte, error) { return []byte(want), err }),
			run: func(ctx context.Context, c bus.Caller) (string, error) {
				got, err := answer.Client(c)(ctx, []byte(query))
				return string(got), err
			},
		}
	}
	stream := staterpc.RPC[string, []byte, []byte]{Name: "stream", Version: 1}
	state := func(name string, end error, values ...string) harmable {
		return harmable{
			name: name, want: strings.Join(values, "|"), err: end, most: 2,
			handler: stream.Handler(func(context.Context, string) ([]byte, iter.Seq2[[]byte, error], error) {
				return []byte(values[0]), yielding(values[1:], end), nil
			}),
			run: func(ctx context.Context, c bus.Caller) (string, error) { return watched(stream.Client(c)(ctx, "")) },
		}
	}
	return []harmable{
		unary("an answer", "query", "answer", nil),
		unary("a long answer", "query", long, nil),
		unary("a long query", long, "answer", nil),
		unary("a refusal", "query", "", bus.Unauthorized),
		state("a stream", nil, "state", "1", "2", "3"),
		state("long values", nil, long, "1", long, "2"),
		state("a stream that ends with an error", bus.Unauthorized, "state", "1", "2"),
	}
}

func yielding(values []string, end error) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, v := range values {
			if !yield([]byte(v), nil) {
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}

func watched(state []byte, updates iter.Seq2[[]byte, error], err error) (string, error) {
	if err != nil {
		return "", err
	}
	got := string(state)
	for u, err := range updates {
		if err != nil {
			return got, err
		}
		got += "|" + string(u)
	}
	return got, nil
}

// A link is which messages are harmed: those of one side's connection in one
// direction.
type link struct {
	responder bool
	direction broker.Direction
}

func (l link) String() string {
	if l.responder {
		return "at the responder's link, " + l.direction.String()
	}
	return "at the caller's link, " + l.direction.String()
}

// harm does verdict to message n on l of the exchange x, which has the broker to
// itself under the prefix. It returns what is wrong, and whether there was such a
// message.
func harm(url, prefix string, x harmable, l link, n int64, verdict broker.Verdict) (reached bool, wrong error) {
	proxy, err := broker.StartProxy(url)
	if err != nil {
		return false, err
	}
	defer proxy.Close()
	caller, responder := proxy.URL(), url
	if l.responder {
		caller, responder = url, proxy.URL()
	}
	var started atomic.Int64
	freed := make(chan struct{}, x.most+1)
	near, err := bus.Connect(responder)
	if err != nil {
		return false, err
	}
	defer near.Close()
	far, err := bus.Connect(caller)
	if err != nil {
		return false, err
	}
	defer far.Close()
	srv, err := bus.Serve(near, bus.Service{Name: "test", Prefix: prefix, Middleware: []bus.Middleware{
		func(next bus.CallFunc) bus.CallFunc {
			return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
				started.Add(1)
				context.AfterFunc(ctx, func() { freed <- struct{}{} })
				return next(ctx, c)
			}
		},
	}}, x.handler)
	if err != nil {
		return false, err
	}
	client := bus.NewClient(far, bus.ClientOptions{Prefix: prefix})
	var messages atomic.Int64
	proxy.Tamper(func(op *broker.Op) broker.Verdict {
		if op.IsMessage() && op.Direction == l.direction && messages.Add(1) == n {
			return verdict
		}
		return broker.Pass
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	got, err := x.run(ctx, client)
	wrong = x.judge(got, err, started.Load())
	for range started.Load() {
		select {
		case <-freed:
		case <-ctx.Done():
			wrong = errors.Join(wrong, errors.New("the handler was not released"))
		}
	}
	return messages.Load() >= n, errors.Join(wrong, client.Close(), srv.Close())
}

// judge says which promise the outcome of a harmed exchange breaks.
func (x harmable) judge(got string, err error, started int64) error {
	e, ours := errors.AsType[*bus.Error](err)
	switch {
	case err == nil && (got != x.want || x.err != nil):
		return fmt.Errorf("it looks whole, but the result is %.40q of %d bytes", got, len(got))
	case !strings.HasPrefix(x.want, got):
		return fmt.Errorf("the result %.40q of %d bytes is not the beginning of what was sent", got, len(got))
	case err == nil || x.err != nil && errors.Is(err, x.err) && got == x.want:
		return nil
	case !ours:
		return fmt.Errorf("the error is %T: %w", err, err)
	case e.Code == bus.Expired:
		return errors.New("the caller knew nothing until its deadline")
	case !e.MayHaveRun && started > 0:
		return fmt.Errorf("the error says that the handler did not run: %w", err)
	case started > x.most:
		return fmt.Errorf("%d handlers ran", started)
	}
	return nil
}

func TestNoMessageThatIsHarmedOnItsWayHarmsTheResult(t *testing.T) {
	t.Parallel()
	url := broker.Run(t, broker.Options{}).URL()
	verdicts := map[string]broker.Verdict{"dropped": broker.Drop, "repeated": broker.Repeat, "swapped": broker.Swap}
	var cases sync.WaitGroup
	var count, prefix atomic.Int64
	running := make(chan struct{}, 24)
	for _, x := range harmables() {
		for _, l := range []link{{false, broker.ToServer}, {false, broker.ToClient}, {true, broker.ToServer}, {true, broker.ToClient}} {
			for what, verdict := range verdicts {
				cases.Go(func() {
					running <- struct{}{}
					defer func() { <-running }()
					for n := int64(1); n < 100; n++ {
						reached, err := harm(url, fmt.Sprintf("p%d", prefix.Add(1)), x, l, n, verdict)
						if err != nil {
							t.Errorf("%s, message %d %s %v: %v", x.name, n, what, l, err)
						}
						if !reached {
							return
						}
						count.Add(1)
					}
				})
			}
		}
	}
	cases.Wait()
	if count.Load() < 100 {
		t.Errorf("only %d messages were harmed", count.Load())
	}
	t.Log(count.Load(), "messages harmed")
}
