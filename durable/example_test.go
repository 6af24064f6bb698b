// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

// The stock of a shop: how much there is of a thing, then each change of it.
var stock = staterpc.RPC[string, int, int]{Name: "shop.stock", Version: 1}

// shelf is a handler of stock that closes the shop after two sales.
func shelf(context.Context, string) (int, iter.Seq2[int, error], error) {
	return 10, func(yield func(int, error) bool) {
		_ = yield(-1, nil) && yield(-2, nil)
	}, nil
}

// A replica of a state is its Snapshot and the Updates since. What it holds
// between Lost and the next Snapshot is stale.
func ExampleState() {
	client := stock.Client(bus.Local(stock.Handler(shelf)))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left, opened := 0, 0
	for ev := range durable.State(ctx, client, "apples", durable.Policy{}) {
		switch ev.Kind {
		case durable.Connected:
			fmt.Println("connected to", ev.Info.RPC)
			opened++
		case durable.Snapshot:
			left = ev.State
		case durable.Update:
			left += ev.Update
		case durable.Lost:
			fmt.Println("stale:", ev.Err)
			if opened == 2 {
				cancel()
			}
		}
		if ev.Kind == durable.Snapshot || ev.Kind == durable.Update {
			fmt.Println(left, "left")
		}
	}
	// Output:
	// connected to shop.stock.v1
	// 10 left
	// 9 left
	// 7 left
	// stale: durable: the server ended the stream
	// connected to shop.stock.v1
	// 10 left
	// 9 left
	// 7 left
	// stale: durable: the server ended the stream
}

// Nothing stands for what a pipe sent while nobody listened.
func ExamplePipe() {
	sales := piperpc.RPC[string, int]{Name: "shop.sales", Version: 1}
	handler := sales.Handler(func(context.Context, string) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) { _ = yield(1, nil) && yield(2, nil) }, nil
	})
	ended := durable.Policy{Final: func(err error) bool { return errors.Is(err, durable.ErrEnded) }}
	for ev := range durable.Pipe(context.Background(), sales.Client(bus.Local(handler)), "apples", ended) {
		switch ev.Kind {
		case durable.Update:
			fmt.Println("sold", ev.Update)
		default:
			fmt.Println(ev.Kind)
		}
	}
	// Output:
	// Attempting
	// Connected
	// sold 1
	// sold 2
	// Lost
}

// A program that cannot start without its first state.
func ExampleStateOrFail() {
	client := stock.Client(bus.Local(stock.Handler(shelf)))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events, err := durable.StateOrFail(ctx, client, "apples", durable.Policy{})
	if err != nil {
		fmt.Println("cannot start:", err)
		return
	}
	for ev := range events {
		fmt.Println(ev.Kind)
		if ev.Kind == durable.Lost {
			break // State would go on: so would this
		}
	}
	// Output:
	// Attempting
	// Connected
	// Snapshot
	// Update
	// Update
	// Lost
}

func ExamplePipeOrFail() {
	sales := piperpc.RPC[string, int]{Name: "shop.sales", Version: 1}
	client := sales.Client(bus.Local()) // where nobody serves them
	_, err := durable.PipeOrFail(context.Background(), client, "apples", durable.Policy{})
	fmt.Println(errors.Is(err, bus.NoResponder))
	// Output: true
}

// A replica is for who wants to know how things are, and not how they came to be.
func ExampleReplica() {
	client := stock.Client(bus.Local(stock.Handler(shelf)))
	closed := durable.Policy{Final: func(err error) bool { return errors.Is(err, durable.ErrEnded) }}
	add := func(left, change int) int { return left + change }
	replica := durable.NewReplica(context.Background(), client, "apples", add, closed)
	defer replica.Close()
	if err := replica.Ready(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	<-replica.Done() // the shop closes after two sales
	now := replica.View()
	fmt.Println(now.State, "left; live:", now.Live)
	fmt.Println("because", now.Err)
	// Output:
	// 7 left; live: false
	// because durable: the server ended the stream
}

// A value that is made when it is first needed, and anew once it has broken.
func ExampleValue() {
	type session struct {
		number int
		over   bool
	}
	made := 0
	login := durable.NewValue(durable.Recipe[*session]{
		Create: func(context.Context) (*session, error) {
			made++
			return &session{number: made}, nil
		},
		Broken:  func(s *session) bool { return s.over },
		Discard: func(s *session) { fmt.Println("logged out of", s.number) },
	})
	defer login.Close()
	for range 4 {
		s, err := login.Get(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("using", s.number)
		s.over = made == 1
	}
	// Output:
	// using 1
	// logged out of 1
	// using 2
	// using 2
	// using 2
	// logged out of 2
}

// A program that gives up where asking again will not help.
func ExamplePolicy() {
	refuse := func(context.Context, string) (int, iter.Seq2[int, error], error) { return 0, nil, bus.Unauthorized }
	client := stock.Client(bus.Local(stock.Handler(refuse)))
	policy := durable.Policy{Final: func(err error) bool { return errors.Is(err, bus.Unauthorized) }}
	for ev := range durable.State(context.Background(), client, "apples", policy) {
		fmt.Println(ev.Kind, errors.Is(ev.Err, bus.Unauthorized))
	}
	// Output:
	// Attempting false
	// FailedToConnect true
}

// Events in a select, beside whatever else the program waits for.
func ExampleChan() {
	client := stock.Client(bus.Local(stock.Handler(shelf)))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	orders := make(chan string, 1)
	orders <- "2 apples"
	events := durable.Chan(ctx, durable.State(ctx, client, "apples", durable.Policy{}))
	for stocked, ordered := false, false; !stocked || !ordered; {
		select {
		case ev := <-events:
			stocked = stocked || ev.Kind == durable.Snapshot
		case <-orders:
			ordered = true
		}
	}
	cancel()
	for range events { // until its goroutine has ended
	}
	fmt.Println("both came")
	// Output: both came
}

// A test cuts the line of a link and heals it; under testing/synctest the
// outage takes no time.
func Example_outage() {
	link := bustest.NewLink(stock.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
		return 10, func(func(int, error) bool) { <-ctx.Done() }, nil
	}))
	snapshots := 0
	for ev := range durable.State(context.Background(), stock.Client(link), "apples", durable.Policy{}) {
		fmt.Println(ev.Kind)
		switch ev.Kind {
		case durable.Snapshot:
			snapshots++
			link.Cut()
		case durable.Lost:
			link.Heal()
		}
		if snapshots == 2 {
			break
		}
	}
	// Output:
	// Attempting
	// Connected
	// Snapshot
	// Lost
	// Attempting
	// Connected
	// Snapshot
}
