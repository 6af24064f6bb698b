// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// An exchange is one call, and what it gives where nothing goes wrong: want, and
// then err.
type exchange struct {
	name    string
	handler bus.Handler
	run     func(bus.Caller) (string, error)
	want    string
	err     error

	idempotent bool // it may be carried out twice
}

// most is how often the handler may run.
func (x exchange) most() int64 {
	if x.idempotent {
		return 2
	}
	return 1
}

// collect returns what updates give, separated, "!" for one that is missing.
func collect(s string, updates iter.Seq2[[]byte, error], each func()) (string, error) {
	var b strings.Builder
	b.WriteString(s)
	for u, err := range updates {
		switch {
		case bus.IsElement(err):
			u = []byte("!")
		case err != nil:
			return b.String(), err
		}
		b.WriteString("|" + string(u))
		each()
	}
	return b.String(), nil
}

func nothing() {}

// yielding returns updates with a pause before each, then err.
func yielding(pause time.Duration, err error, updates ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, u := range updates {
			elapse(pause)
			if u == "!" {
				if !yield(nil, &bus.ElementError{Err: errors.New("no such thing in this version")}) {
					return
				}
			} else if !yield([]byte(u), nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

const answerAtFirstSign = "an answer just as late as the responder's first sign"

func checksum(s string) string { return fmt.Sprintf("%d bytes, %x", len(s), sha256.Sum256([]byte(s))) }

// text is n bytes, no two parts of which are alike.
func text(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()[:n]
}

func unaryExchange(name, query, want string, f func(context.Context, string) (string, error)) exchange {
	rpc := unaryrpc.RPC[[]byte, []byte]{Name: "x", Version: 1}
	return exchange{
		name: name, want: want,
		handler: rpc.Handler(func(ctx context.Context, query []byte) ([]byte, error) {
			answer, err := f(ctx, string(query))
			return []byte(answer), err
		}),
		run: func(c bus.Caller) (string, error) {
			answer, err := rpc.Client(c)(context.Background(), []byte(query))
			return string(answer), err
		},
	}
}

func pipeExchange(name, want string, each func(), f func(ctx context.Context) iter.Seq2[[]byte, error]) exchange {
	rpc := piperpc.RPC[[]byte, []byte]{Name: "x", Version: 1}
	return exchange{
		name: name, want: want,
		handler: rpc.Handler(func(ctx context.Context, _ []byte) (iter.Seq2[[]byte, error], error) { return f(ctx), nil }),
		run: func(c bus.Caller) (string, error) {
			updates, err := rpc.Client(c)(context.Background(), nil)
			if err != nil {
				return "", err
			}
			return collect("", updates, each)
		},
	}
}

func stateExchange(name, state string, updates ...string) exchange {
	rpc := staterpc.RPC[[]byte, []byte, []byte]{Name: "x", Version: 1}
	return exchange{
		name: name, idempotent: true, want: strings.Join(append([]string{state}, updates...), "|"),
		handler: rpc.Handler(func(context.Context, []byte) ([]byte, iter.Seq2[[]byte, error], error) {
			return []byte(state), yielding(10*time.Millisecond, nil, updates...), nil
		}),
		run: func(c bus.Caller) (string, error) {
			state, updates, err := rpc.Client(c)(context.Background(), nil)
			if err != nil {
				return "", err
			}
			return collect(string(state), updates, nothing)
		},
	}
}

func exchanges() []exchange {
	long, query := text(300_000), text(1_300_000)
	return append(streamExchanges(long),
		unaryExchange("an answer", "21", "answer to 21", func(_ context.Context, q string) (string, error) {
			return "answer to " + q, nil
		}),
		unaryExchange("an answer that takes a while", "21", "answer to 21", func(_ context.Context, q string) (string, error) {
			elapse(1500 * time.Millisecond)
			return "answer to " + q, nil
		}),
		unaryExchange(answerAtFirstSign, "21", "answer to 21", func(_ context.Context, q string) (string, error) {
			elapse(25 * time.Millisecond)
			return "answer to " + q, nil
		}),
		unaryExchange("a long answer", "", long, func(context.Context, string) (string, error) { return long, nil }),
		unaryExchange("a long query", query, checksum(query), func(_ context.Context, q string) (string, error) {
			return checksum(q), nil
		}),
		refusal(), givingUp(), leaving(), message(), longMessage(),
	)
}

func streamExchanges(long string) []exchange {
	numbers := strings.Split("1 2 3 4 5 6", " ")
	failing := pipeExchange("a pipe that ends with an error", "|1|2|3|4|5|6", nothing, func(context.Context) iter.Seq2[[]byte, error] {
		return yielding(10*time.Millisecond, bus.Unauthorized, numbers...)
	})
	failing.err = bus.Unauthorized
	blocks := make([]string, 30)
	for i := range blocks {
		blocks[i] = long[i*1000 : i*1000+20_000]
	}
	return []exchange{
		failing,
		pipeExchange("an empty pipe", "", nothing, func(context.Context) iter.Seq2[[]byte, error] { return yielding(0, nil) }),
		pipeExchange("a pipe", "|1|2|3|4|5|6", nothing, func(context.Context) iter.Seq2[[]byte, error] {
			return yielding(10*time.Millisecond, nil, numbers...)
		}),
		pipeExchange("a slow pipe", "|1|2|3|4|5|6", nothing, func(context.Context) iter.Seq2[[]byte, error] {
			return yielding(700*time.Millisecond, nil, numbers...)
		}),
		pipeExchange("a pipe with missing updates", "|1|!|!|4|!", nothing, func(context.Context) iter.Seq2[[]byte, error] {
			return yielding(10*time.Millisecond, nil, "1", "!", "!", "4", "!")
		}),
		pipeExchange("a pipe that waits for its reader", "|"+strings.Join(blocks, "|"), func() { elapse(20 * time.Millisecond) },
			func(context.Context) iter.Seq2[[]byte, error] { return yielding(0, nil, blocks...) }),
		stateExchange("a state", "state", numbers...),
		stateExchange("a long state", long, "1", "2"),
		stateExchange("long updates", "state", "1", long, "2", long[1:], "3"),
	}
}

func refusal() exchange {
	x := unaryExchange("a refusal", "", "", func(context.Context, string) (string, error) { return "", bus.Unauthorized })
	x.err = bus.Unauthorized
	return x
}

// givingUp is a caller that does not wait for its answer.
func givingUp() exchange {
	rpc := unaryrpc.RPC[[]byte, []byte]{Name: "x", Version: 1}
	return exchange{
		name: "a call that is given up", err: bus.Canceled,
		handler: rpc.Handler(func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
		run: func(c bus.Caller) (string, error) {
			ctx, cancel := context.WithCancel(context.Background())
			defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
			answer, err := rpc.Client(c)(ctx, nil)
			return string(answer), err
		},
	}
}

// leaving is a reader that has enough of a pipe which then has no more to say.
func leaving() exchange {
	x := pipeExchange("a pipe whose reader leaves", "|1|2", nothing, func(ctx context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			if yield([]byte("1"), nil) && yield([]byte("2"), nil) {
				<-ctx.Done()
			}
		}
	})
	rpc := piperpc.RPC[[]byte, []byte]{Name: "x", Version: 1}
	x.run = func(c bus.Caller) (string, error) {
		updates, err := rpc.Client(c)(context.Background(), nil)
		if err != nil {
			return "", err
		}
		got := ""
		for u, err := range updates {
			if err != nil {
				return got, err
			}
			if got += "|" + string(u); got == "|1|2" {
				break
			}
		}
		return got, nil
	}
	return x
}

func message() exchange {
	rpc := onewayrpc.RPC[[]byte]{Name: "x", Version: 1}
	return exchange{
		name: "a message", handler: rpc.Handler(func(context.Context, []byte) error { return nil }),
		run: func(c bus.Caller) (string, error) { return "", rpc.Client(c)(context.Background(), []byte("hello")) },
	}
}

func longMessage() exchange {
	x, query := message(), []byte(text(1_300_000))
	rpc := onewayrpc.RPC[[]byte]{Name: "x", Version: 1}
	x.name = "a long message"
	x.run = func(c bus.Caller) (string, error) { return "", rpc.Client(c)(context.Background(), query) }
	return x
}
