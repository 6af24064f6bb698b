// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
)

type halted struct{ Symbol string }

func (h *halted) Error() string { return h.Symbol + " is halted" }

type limited int

func (l limited) Error() string { return fmt.Sprintf("at most %d", int(l)) }

type unknownUser struct{ name string }

func (u unknownUser) Error() string { return "who is " + u.name }

var (
	errClosed = errors.New("the market is closed")
	errOther  = errors.New("the disk is full")
)

var errorTypes = []bus.ErrorType{
	bus.ErrorOf[*halted]("halted"),
	bus.ErrorOf[limited]("limited"),
	bus.ErrorVia("unknown user",
		func(u unknownUser) *wrapperspb.StringValue { return wrapperspb.String(u.name) },
		func(w *wrapperspb.StringValue) unknownUser { return unknownUser{w.Value} }),
	bus.Sentinel("closed", errClosed),
}

func anyError(t *testing.T, dial Dial) {
	eachShape(t, func(t *testing.T, s shape) {
		t.Run("declared", func(t *testing.T) { declaredErrors(t, dial, s) })
		t.Run("undeclared", func(t *testing.T) { undeclaredErrors(t, dial, s) })
		t.Run("of a nested call", func(t *testing.T) { nestedErrors(t, dial, s) })
		t.Run("that only the responder knows", func(t *testing.T) {
			c := dial(t, s.handler(fails(&halted{"AAPL"}), errorTypes...))
			_, err := s.client(c)(within(t), "")
			failed(t, err, s.d, bus.Application, "AAPL is halted")
		})
		t.Run("panic", func(t *testing.T) {
			c := dial(t, s.handler(func(context.Context, string) (string, error) { panic("at the disco") }))
			_, err := s.client(c)(within(t), "")
			e := failed(t, err, s.d, bus.Panicked, "log")
			saw(t, "may have run", e.MayHaveRun, true)
		})
	})
}

func fails(err error) answer {
	return func(context.Context, string) (string, error) { return "", err }
}

func declaredErrors(t *testing.T, dial Dial, s shape) {
	cases := map[string]error{
		"halted":  &halted{"AAPL"},
		"limited": limited(7),
		"unknown": unknownUser{"Ada"},
		"closed":  errClosed,
		"wrapped": fmt.Errorf("row 7: %w", fmt.Errorf("no price: %w", &halted{"IBM"})),
	}
	call := s.client(dial(t, s.handler(func(_ context.Context, q string) (string, error) { return "", cases[q] }, errorTypes...)), errorTypes...)
	for name, want := range cases {
		_, err := call(within(t), name)
		failed(t, err, s.d, bus.Application, want.Error())
		saw(t, name+": closed", errors.Is(err, errClosed), name == "closed")
		if w, ok := errors.AsType[*halted](want); ok {
			got, _ := errors.AsType[*halted](err)
			if got == nil || *got != *w {
				t.Errorf("%s: got %v, want %v", name, got, w)
			}
		}
		if w, ok := errors.AsType[limited](want); ok {
			got, _ := errors.AsType[limited](err)
			saw(t, name, got, w)
		}
		if w, ok := errors.AsType[unknownUser](want); ok {
			got, _ := errors.AsType[unknownUser](err)
			saw(t, name, got, w)
		}
	}
}

func undeclaredErrors(t *testing.T, dial Dial, s shape) {
	for _, tc := range []struct {
		name       string
		err        error
		code       bus.Code
		mayHaveRun bool
	}{
		{"text", fmt.Errorf("row 7: %w", errOther), bus.Failed, true},
		{"code", bus.Unauthorized, bus.Unauthorized, false},
		{"code in a chain", fmt.Errorf("two at a time: %w", bus.Busy), bus.Busy, false},
		{"code after the work", fmt.Errorf("cut off: %w", bus.Lost), bus.Lost, true},
		{"error of its own", &bus.Error{Code: bus.Stalled, Message: "slow", MayHaveRun: true}, bus.Stalled, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := dial(t, s.handler(fails(tc.err), errorTypes...))
			_, err := s.client(c, errorTypes...)(within(t), "")
			e := failed(t, err, s.d, tc.code)
			saw(t, "may have run", e.MayHaveRun, tc.mayHaveRun)
			if tc.code == bus.Failed {
				failed(t, err, s.d, tc.code, "row 7: the disk is full")
			}
		})
	}
}

// nestedErrors are those of a backend: what it said of itself is no code of this
// RPC, but its application's error is one that the handler may pass on.
func nestedErrors(t *testing.T, dial Dial, s shape) {
	backend := unary(errorTypes...)
	backend.Name = "laws.backend"
	for _, tc := range []struct {
		err  error
		code bus.Code
	}{
		{bus.Busy, bus.Failed},
		{errOther, bus.Failed},
		{&halted{"AAPL"}, bus.Application},
	} {
		call := backend.Client(dial(t, backend.Handler(func(context.Context, string) (string, error) { return "", tc.err })))
		c := dial(t, s.handler(func(ctx context.Context, q string) (string, error) { return call(ctx, q) }, errorTypes...))
		_, err := s.client(c, errorTypes...)(within(t), "")
		failed(t, err, s.d, tc.code, tc.err.Error())
		saw(t, "busy, as the backend was", errors.Is(err, bus.Busy), false)
	}
	absent := backend.Client(dial(t))
	c := dial(t, s.handler(func(ctx context.Context, q string) (string, error) { return absent(ctx, q) }))
	_, err := s.client(c)(within(t), "")
	failed(t, err, s.d, bus.Failed, "laws.backend", string(bus.NoResponder))
	saw(t, "no responder, as the backend had", errors.Is(err, bus.NoResponder), false)
}
