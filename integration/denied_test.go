// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// guarded runs a broker on which each user lacks what its name says.
func guarded(t *testing.T) (url string) { return runBroker(t, guards()).URL() }

// guardedCluster runs three of them.
func guardedCluster(t *testing.T) *broker.Cluster { return broker.RunCluster(t, guards()) }

func guards() broker.Options {
	without := func(name string, publish, subscribe []string) broker.User {
		return broker.User{
			Name: name, Password: name,
			Publish: broker.Subjects{Deny: publish}, Subscribe: broker.Subjects{Deny: subscribe},
		}
	}
	return broker.Options{Users: []broker.User{
		without("everything", []string{"nothing"}, nil),
		without("request", []string{"work.>"}, nil),
		without("inbox", nil, []string{"_INBOX.>"}),
		without("resuming", []string{"_D.i.>"}, nil),
		without("menu", []string{"_D.m.>"}, nil),
		without("control", []string{"_D.c.>"}, nil),
		without("answers", []string{"_INBOX.>"}, nil),
		without("serving", nil, []string{"work.>"}),
		without("announcing", []string{"_D.a.>"}, []string{"_D.a.>"}),
	}}
}

// as logs in, and keeps the refusals that follow off the terminal.
func as(user string) nats.Option {
	return func(o *nats.Options) error {
		o.User, o.Password, o.AsyncErrorCB = user, user, func(*nats.Conn, *nats.Subscription, error) {}
		return nil
	}
}

var (
	workRPC = unaryrpc.RPC[string, string]{Name: "work.do", Version: 1}
	tailRPC = piperpc.RPC[string, int]{Name: "work.tail", Version: 1}
	viewRPC = staterpc.RPC[string, string, int]{Name: "work.view", Version: 1}
)

// workers are slow where they are asked to be.
func workers() []bus.Handler {
	return []bus.Handler{
		workRPC.Handler(func(ctx context.Context, how string) (string, error) {
			if how == "slow" {
				pace(ctx, 200*time.Millisecond)
			}
			return "done", nil
		}),
		tailRPC.Handler(func(ctx context.Context, _ string) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				for n := 0; ctx.Err() == nil && yield(n, nil); n++ {
					pace(ctx, 20*time.Millisecond)
				}
			}, nil
		}),
		viewRPC.Handler(func(context.Context, string) (string, iter.Seq2[int, error], error) { return "", nil, nil }),
	}
}

func do(c bus.Caller, how string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := workRPC.Client(c)(ctx, how)
		return err
	}
}

// tail reads a pipe to its end, which is an error here.
func tail(c bus.Caller) func(context.Context) error {
	return func(ctx context.Context) error {
		updates, err := tailRPC.Client(c)(ctx, "")
		if err != nil {
			return err
		}
		for _, err := range updates {
			if err != nil {
				return err
			}
		}
		return errors.New("the pipe came to a good end")
	}
}

func view(c bus.Caller) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, err := viewRPC.Client(c)(ctx, "")
		return err
	}
}

// soon wants f to fail with code and words, within limit.
func soon(t *testing.T, limit time.Duration, f func(context.Context) error, code bus.Code, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	best := patience
	for round := 0; best > limit && round < 3; round++ { // a busy machine may spoil one
		best = min(best, fails(t, ctx, f, code, words...))
	}
	t.Logf("%.1f ms", float64(best.Microseconds())/1000)
	if best > limit {
		t.Errorf("it took %v, want at most %v", best, limit)
	}
}

// fails runs f three times side by side, wants each to fail with code and words,
// and returns how long the fastest took.
func fails(t *testing.T, ctx context.Context, f func(context.Context) error, code bus.Code, words ...string) time.Duration {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	best := patience
	for range 3 {
		wg.Go(func() {
			start := time.Now()
			err := f(ctx)
			mu.Lock()
			defer mu.Unlock()
			best = min(best, time.Since(start))
			e, ok := errors.AsType[*bus.Error](err)
			if !ok || e.Code != code {
				t.Errorf("%v, want %q", err, code)
				return
			}
			for _, w := range words {
				if !strings.Contains(e.Error(), w) {
					t.Errorf("%q does not say %q", e, w)
				}
			}
		})
	}
	wg.Wait()
	return best
}

// These are the words for what cannot be told apart.
var likelyCauses = []string{"cannot publish to the caller's inbox", "single short response", "stopped or cut off", "may have run", "work."}

// noAnswer is when silence is an error.
const noAnswer = 2*time.Second + 50*time.Millisecond // 50 of them for the machine

func TestWhatTheBrokerDeniesTheCallerIsNamedAtOnce(t *testing.T) {
	url := guarded(t)
	srv, err := bus.Serve(connect(t, url, as("everything")), bus.Service{}, workers()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("publishing requests", func(t *testing.T) {
		c := client(t, url, as("request"))
		soon(t, atOnce, do(c, ""), bus.Denied, "work.do.v1", "no permission to publish to work.do.v1")
		soon(t, atOnce, tail(c), bus.Denied, "work.tail.v1", "no permission to publish to work.tail.v1")
	})
	t.Run("subscribing to the inbox", func(t *testing.T) {
		c := client(t, url, as("inbox"))
		soon(t, atOnce, do(c, "slow"), bus.Denied, "work.do.v1", "no permission to subscribe to _INBOX.", "custom inbox prefix")
		soon(t, atOnce, do(c, ""), bus.Denied, "no permission to subscribe to _INBOX.")
	})
	t.Run("asking for the menu", func(t *testing.T) {
		c := client(t, url, as("menu"))
		other := unaryrpc.RPC[string, string]{Name: "work.do", Version: 2}.Client(c)
		soon(t, atOnce, func(ctx context.Context) error { _, err := other(ctx, ""); return err },
			bus.NoResponder, "work.do.v2", "no permission to publish to _D.m.work.do.one")
	})
	t.Run("telling a responder what was read", func(t *testing.T) {
		c := client(t, url, as("control"))
		soon(t, noAnswer, tail(c), bus.Denied, "work.tail.v1", "no permission to publish to _D.c.")
	})
}

func TestAServerThatMayNotSubscribeIsToldSo(t *testing.T) {
	url := guarded(t)
	nc := connect(t, url, as("serving"))
	srv, err := bus.Serve(nc, bus.Service{}, workRPC.Handler(func(context.Context, string) (string, error) { return "", nil }))
	if !errors.Is(err, bus.Denied) || !strings.Contains(fmt.Sprint(err), "work.do.v1") {
		t.Errorf("%v, want Denied of work.do.v1", err)
	}
	if srv != nil {
		t.Error("there is a server all the same")
	}
	if n := nc.NumSubscriptions(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestAResponderThatMayNotAnswerIsNoAnswer(t *testing.T) {
	url := guarded(t)
	srv, err := bus.Serve(connect(t, url, as("answers")), bus.Service{}, workers()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	mute, err := bus.Serve(connect(t, url, as("everything")), bus.Service{}, bystanders()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mute.Close(); err != nil {
			t.Error(err)
		}
	})
	c := client(t, url, as("everything"))
	good := beside(t, c)
	for name, f := range map[string]func(context.Context) error{
		"quick call": do(c, ""), "slow call": do(c, "slow"), "pipe": tail(c), "state": view(c),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			soon(t, noAnswer, f, bus.NoAnswer, likelyCauses...)
		})
	}
	t.Cleanup(func() { good.stop(t) })
}

// accounts are a broker's on which callers reach the responder of another
// account through an export of response type.
func accounts(t *testing.T, response string) (url string) {
	return runBroker(t, broker.Options{Config: fmt.Sprintf(`
		accounts {
			R: {
				users: [{user: responder, password: responder}]
				exports: [{service: "work.>", response_type: %[1]s}, {service: "_D.>", response_type: %[1]s}]
			}
			C: {
				users: [{user: caller, password: caller}]
				imports: [{service: {account: R, subject: "work.>"}}, {service: {account: R, subject: "_D.>"}}]
			}
		}`, response)}).URL()
}

func TestAnExportForSingleResponses(t *testing.T) {
	url := accounts(t, "singleton")
	srv, err := bus.Serve(connect(t, url, as("responder")), bus.Service{}, workers()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	c := client(t, url, as("caller"))
	if got, err := workRPC.Client(c)(t.Context(), ""); got != "done" || err != nil {
		t.Errorf("a short answer: %q, %v", got, err)
	}
	t.Run("slow call", func(t *testing.T) { soon(t, noAnswer, do(c, "slow"), bus.NoAnswer) })
	t.Run("pipe", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		start := time.Now()
		err := tail(c)(ctx)
		// Each message of ours permits one more of theirs: a frame may slip through.
		if !errors.Is(err, bus.NoAnswer) && !errors.Is(err, bus.Lost) {
			t.Errorf("%v, want NoAnswer, or Lost where some frames came", err)
		}
		t.Logf("%v: %v", time.Since(start), err)
	})
}
