// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
)

// logged returns the lines that following s for a while logs, without their times.
func logged(t *testing.T, s *script, events int, p durable.Policy) []string {
	t.Helper()
	var b bytes.Buffer
	old := slog.Default()
	defer slog.SetDefault(old)
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.MessageKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	first(t, events, s.Func, p)
	return strings.Split(strings.TrimSpace(b.String()), "\n")
}

func TestEqualFailuresOfAnOutageAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail, busy := opening{refuse: bus.NoResponder}, opening{refuse: bus.Busy}
		long, short := opening{lasts: time.Hour, end: bus.Gone}, opening{end: bus.Gone}
		s := &script{openings: []opening{fail, fail, busy, fail, long, fail, short, fail, short, fail, long, fail}}
		got := logged(t, s, 38, durable.Policy{})
		want := []string{
			`level=WARN event=FailedToConnect error="durabus: no responder"`,
			`level=WARN event=FailedToConnect error="durabus: busy"`,
			`level=INFO rpc="" peer="" call=""`,
			`level=WARN event=Lost error="durabus: gone"`, // the long one, which begins a new outage
			`level=WARN event=FailedToConnect error="durabus: no responder"`,
			`level=INFO rpc="" peer="" call=""`,
			`level=WARN event=Lost error="durabus: gone"`, // the next long one, after the two short
			`level=WARN event=FailedToConnect error="durabus: no responder"`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestAnOutageLogsFewFailuresHoweverDifferent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		for i := range 100 {
			s.openings = append(s.openings, opening{refuse: fmt.Errorf("failure %d", i)})
		}
		if got := logged(t, s, 200, durable.Policy{}); len(got) != 8 {
			t.Errorf("%d lines: %q", len(got), got)
		}
	})
}

func TestTheEndOfTheContextIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		old := slog.Default()
		defer slog.SetDefault(old)
		slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range durable.State(ctx, (&script{openings: []opening{{lasts: time.Hour}}}).Func, "", durable.Policy{}) {
		}
		if b.Len() > 0 {
			t.Error(b.String())
		}
	})
}

func TestAttemptsToResumeThatFailAlikeAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := pair{0, &bus.Break{Err: bus.NoResponder}}
		s := &script{openings: []opening{{updates: []pair{broke, fails, fails, fails, resumed, broke, fails, resumed}, lasts: time.Hour}}}
		got := logged(t, s, 17, durable.Policy{Resume: true})
		want := []string{
			`level=WARN event=Lost error="durabus: gone"`,
			`level=WARN event=FailedToConnect error="durabus: no responder"`,
			`level=INFO rpc="" peer=b call=""`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A responder that ends a stream each time it has lasted begins outage after outage.
func TestAResponderThatEndsStreamsOverAndOverHasNoSayInHowMuchIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		for range 100 {
			s.openings = append(s.openings, opening{lasts: 1100 * time.Millisecond, end: bus.Gone})
		}
		if got := logged(t, s, 300, durable.Policy{Wait: func(int) time.Duration { return 0 }}); len(got) < 4 || len(got) > 6 {
			t.Errorf("%d lines in 110 s: %q", len(got), got)
		}
	})
}
