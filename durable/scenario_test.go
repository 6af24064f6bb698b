// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

// The numbers are those of the scenarios that the module was specified with.

// both returns the events of following s as a state and as a pipe until so many
// were told, and how long it waited between the calls for the state.
func both(t *testing.T, s func() *script, events int, p durable.Policy) (state, pipe []string, gaps []time.Duration) {
	t.Helper()
	of := s()
	state = first(t, events, of.Func, p)
	gaps = of.gaps()
	for ev := range durable.Pipe(t.Context(), s().pipe, "", p) {
		if pipe = append(pipe, short(event{Kind: ev.Kind, Update: ev.Update, Err: ev.Err})); len(pipe) == events {
			break
		}
	}
	return state, pipe, gaps
}

// S266: a query that is rejected is asked again after each delay.
// S267: what is lost is opened again after the delay.
// S268: updates that had come before the end are told before it.
// S274: a pipe has the same items without snapshots.
func TestLostAndRejectedAreFollowedByADelayAndAnAttempt(t *testing.T) {
	rejection := &bus.Error{Code: bus.Application, Err: errors.New("halted")}
	minute, now := steady(time.Minute), time.Duration(0)
	for _, tt := range []struct {
		name     string
		openings []opening
		state    []string
		waits    []time.Duration
	}{
		{
			"S266 S274 rejected",
			[]opening{{refuse: rejection}},
			[]string{"Attempting", "Rejected(application error)", "Attempting", "Rejected(application error)", "Attempting"},
			[]time.Duration{time.Minute},
		},
		{
			"S267 S274 the server ended the stream",
			[]opening{{}, {lasts: time.Hour}},
			[]string{"Attempting", "Connected", "Snapshot 1", "Lost(durable: the server ended the stream)", "Attempting", "Connected", "Snapshot 2"},
			[]time.Duration{time.Minute},
		},
		{
			"S267 S274 the connection went",
			[]opening{{end: bus.Disconnected}, {lasts: time.Hour}},
			[]string{"Attempting", "Connected", "Snapshot 1", "Lost(durabus: disconnected)", "Attempting", "Connected", "Snapshot 2"},
			[]time.Duration{time.Minute},
		},
		{
			"S267 S274 the responder left",
			[]opening{{end: bus.Draining}, {lasts: time.Hour}},
			[]string{"Attempting", "Connected", "Snapshot 1", "Lost(durabus: draining)", "Attempting", "Connected", "Snapshot 2"},
			[]time.Duration{now},
		},
		{
			"S268 S274 updates before the end",
			[]opening{{updates: []pair{{1, nil}, {2, nil}, {3, nil}}, end: bus.Gone}},
			[]string{"Attempting", "Connected", "Snapshot 1", "Update 1", "Update 2", "Update 3", "Lost(durabus: gone)"},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state, pipe, gaps := both(t, func() *script { return &script{openings: tt.openings} }, len(tt.state), minute)
				want(t, state, tt.state...)
				if !slices.Equal(gaps, tt.waits) {
					t.Errorf("waited %v, want %v", gaps, tt.waits)
				}
				// S274
				noSnapshot := slices.DeleteFunc(slices.Clone(tt.state), func(s string) bool { return len(s) > 8 && s[:8] == "Snapshot" })
				want(t, pipe[:len(noSnapshot)], noSnapshot...)
			})
		})
	}
}

// S270: who leaves during the delay is not the cause of another call.
func TestS270NothingIsAskedAfterAnEndDuringTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Second, cancel)
		s := &script{openings: []opening{{end: bus.Gone}}}
		for range durable.State(ctx, s.Func, "", steady(time.Minute)) {
		}
		time.Sleep(time.Hour)
		if len(s.at) != 1 {
			t.Errorf("%d calls", len(s.at))
		}
	})
}

// S271: who leaves during a call that succeeds nevertheless is told nothing, and
// the stream is closed.
func TestS271AStreamThatOpensTooLateIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var opened context.Context
		read := false
		stubborn := func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			time.Sleep(time.Minute)
			opened = ctx
			return 1, func(func(int, error) bool) { read = true }, nil
		}
		var got []durable.Kind
		for ev := range durable.State(ctx, stubborn, "", durable.Policy{}) {
			got = append(got, ev.Kind)
		}
		if !slices.Equal(got, []durable.Kind{durable.Attempting}) || read || opened.Err() == nil {
			t.Errorf("told %v, read %v, stream open %v", got, read, opened.Err() == nil)
		}
	})
}

// S277: while the consumer is busy the source is asked for nothing more.
func TestS277ASlowConsumerHoldsBackTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent, told := 0, 0
		source := func(context.Context, string) (int, iter.Seq2[int, error], error) {
			return 0, func(yield func(int, error) bool) {
				for sent = 1; yield(sent, nil); sent++ {
				}
			}, nil
		}
		for ev := range durable.State(t.Context(), source, "", durable.Policy{}) {
			if ev.Kind != durable.Update {
				continue
			}
			time.Sleep(time.Second)
			if told++; sent != told || ev.Update != told {
				t.Fatalf("sent %d while %d were told", sent, told)
			}
			if told == 100 {
				break
			}
		}
	})
}

// S278: a panic of the Func passes through the loop, and nothing follows.
func TestS278APanicOfTheFuncEndsTheEvents(t *testing.T) {
	var got []durable.Kind
	defer func() {
		if recover() != "mine" || !slices.Equal(got, []durable.Kind{durable.Attempting}) {
			t.Errorf("told %v", got)
		}
	}()
	panics := func(context.Context, string) (int, iter.Seq2[int, error], error) { panic("mine") }
	for ev := range durable.State(t.Context(), panics, "", durable.Policy{}) {
		got = append(got, ev.Kind)
	}
}

// Trades of a market: at first amounts, of which those over a hundred were a
// mistake, then with their symbol.
type trade struct {
	Symbol string
	Amount int
}

var (
	errMistake = errors.New("no trade is over 100")

	tradesV1 = piperpc.RPC[string, int]{Name: "market.trades", Version: 1}
	tradesV2 = piperpc.RPC[string, trade]{Name: "market.trades", Version: 2}
	trades   = versioned.New(tradesV2, versioned.Via(tradesV1, tradesUp, tradesDown))

	tradesDown = piperpc.Convert(same, func(t trade) int { return t.Amount })

	depthV1 = staterpc.RPC[string, int, int]{Name: "market.depth", Version: 1}
	depthV2 = staterpc.RPC[string, trade, trade]{Name: "market.depth", Version: 2}
	depth   = versioned.New(depthV2, versioned.Via(depthV1, depthUp, nil)) // only callers convert
)

// up converts an amount to a trade of symbol.
func up(symbol string) func(int) (trade, error) {
	return func(amount int) (trade, error) {
		if amount > 100 {
			return trade{}, errMistake
		}
		return trade{symbol, amount}, nil
	}
}

func tradesUp(f piperpc.Func[string, int]) piperpc.Func[string, trade] {
	return func(ctx context.Context, symbol string) (iter.Seq2[trade, error], error) {
		amounts, err := f(ctx, symbol)
		return piperpc.Map(amounts, up(symbol)), err
	}
}

func depthUp(f staterpc.Func[string, int, int]) staterpc.Func[string, trade, trade] {
	return func(ctx context.Context, symbol string) (trade, iter.Seq2[trade, error], error) {
		amount, amounts, err := f(ctx, symbol)
		return trade{symbol, amount}, piperpc.Map(amounts, up(symbol)), err
	}
}

// amounts yields them, then waits.
func amounts(ctx context.Context, all ...int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for _, n := range all {
			if !yield(n, nil) {
				return
			}
		}
		<-ctx.Done()
	}
}

// S275: an update that cannot be converted is one with an error, and the stream
// goes on. S276: once the server is back with other versions the one in common
// then is used. For states whose callers convert, and for pipes of which both do.
func TestFamiliesGoOnAfterABadUpdateAndAcrossAnUpgrade(t *testing.T) {
	mistaken := func(ctx context.Context, _ string) (iter.Seq2[int, error], error) {
		return amounts(ctx, 1, 101, 2), nil
	}
	fresh := func(ctx context.Context, symbol string) (iter.Seq2[trade, error], error) {
		return piperpc.Map(amounts(ctx, 3), up(symbol)), nil
	}
	oldDepth := depthV1.Handler(func(ctx context.Context, symbol string) (int, iter.Seq2[int, error], error) {
		updates, err := mistaken(ctx, symbol)
		return 5, updates, err
	})
	newDepth := depthV2.Handler(func(ctx context.Context, symbol string) (trade, iter.Seq2[trade, error], error) {
		updates, err := fresh(ctx, symbol)
		return trade{symbol, 7}, updates, err
	})
	hour := steady(time.Hour) // only the connection's return ends the wait

	t.Run("S275 S276 pipe", func(t *testing.T) {
		pipe := func(ctx context.Context, c bus.Caller) (iter.Seq[durable.Event[struct{}, trade]], error) {
			return durable.Pipe(ctx, trades.Client(c), "A", hour), nil
		}
		orFail := func(ctx context.Context, c bus.Caller) (iter.Seq[durable.Event[struct{}, trade]], error) {
			return durable.PipeOrFail(ctx, trades.Client(c), "A", hour)
		}
		for _, events := range []source[struct{}]{pipe, orFail} {
			wantNotes(t, events, tradesV1.Handler(mistaken), trades.Handlers(fresh),
				"Attempting", "Connected market.trades.v1", "Update {A 1}", "Update: no trade is over 100", "Update {A 2}", "Lost",
				"Attempting", "Connected market.trades.v2", "Update {A 3}")
		}
	})
	t.Run("S275 S276 state", func(t *testing.T) {
		state := func(ctx context.Context, c bus.Caller) (iter.Seq[durable.Event[trade, trade]], error) {
			return durable.State(ctx, depth.Client(c), "A", hour), nil
		}
		orFail := func(ctx context.Context, c bus.Caller) (iter.Seq[durable.Event[trade, trade]], error) {
			return durable.StateOrFail(ctx, depth.Client(c), "A", hour)
		}
		for _, events := range []source[trade]{state, orFail} {
			wantNotes(t, events, oldDepth, []bus.Handler{newDepth},
				"Attempting", "Connected market.depth.v1", "Snapshot {A 5}", "Update {A 1}", "Update: no trade is over 100", "Update {A 2}", "Lost",
				"Attempting", "Connected market.depth.v2", "Snapshot {A 7}", "Update {A 3}")
		}
	})
}

type source[S any] func(context.Context, bus.Caller) (iter.Seq[durable.Event[S, trade]], error)

func wantNotes[S any](t *testing.T, follow source[S], old bus.Handler, upgraded []bus.Handler, lines ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(old)
		events, err := follow(t.Context(), link)
		if err != nil {
			t.Fatal(err)
		}
		want(t, notes(events, link, upgraded...), lines...)
	})
}

// notes returns the events until the update of 3, in words; at the update of 2 the
// line is cut, and a minute later it is back, with other handlers behind it.
func notes[S any](events iter.Seq[durable.Event[S, trade]], link *bustest.Link, upgraded ...bus.Handler) (got []string) {
	for ev := range events {
		got = append(got, note(ev))
		switch {
		case ev.Kind == durable.Update && ev.Update.Amount == 2:
			link.Cut()
			time.AfterFunc(time.Minute, func() { link.Heal(upgraded...) })
		case ev.Kind == durable.Update && ev.Update.Amount == 3:
			return got
		}
	}
	return got
}

func note[S any](ev durable.Event[S, trade]) string {
	text := ev.Kind.String()
	switch {
	case ev.Kind == durable.Connected:
		text += " " + ev.Info.RPC.String()
	case ev.Kind == durable.Snapshot:
		text += fmt.Sprint(" ", ev.State)
	case ev.Kind == durable.Update && errors.Is(ev.Err, errMistake):
		text += ": " + errMistake.Error()
	case ev.Kind == durable.Update:
		text += fmt.Sprint(" ", ev.Update)
	}
	return text
}
