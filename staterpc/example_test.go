// SPDX-License-Identifier: Apache-2.0

package staterpc_test

import (
	"context"
	"fmt"
	"iter"
	"maps"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
)

// A Stock is how many of each article there are, a Move a change to it.
type (
	Stock map[string]int
	Move  struct {
		Article string
		By      int
	}
)

var stock = staterpc.RPC[string, Stock, Move]{Name: "store.stock", Version: 1}

func apply(s Stock, m Move) Stock {
	s = maps.Clone(s) // watchers may be reading the old one
	s[m.Article] += m.By
	return s
}

// A Publisher is all that a responder with one shared state needs.
func ExamplePublisher() {
	store := staterpc.NewPublisher(Stock{"apples": 3}, apply, 100)
	caller := bus.Local(stock.Handler(func(ctx context.Context, _ string) (Stock, iter.Seq2[Move, error], error) {
		return store.Watch(ctx)
	}))

	state, moves, err := stock.Client(caller)(context.Background(), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(state)
	store.Publish(Move{"apples", -1})
	store.Publish(Move{"pears", 2})
	for m, err := range moves {
		if err != nil {
			fmt.Println(err) // staterpc.ErrLagged, as bus.Lost: open again
			return
		}
		state = apply(state, m)
		fmt.Println(state)
		if len(state) == 2 {
			break // leaving the loop releases the responder
		}
	}
	// Output:
	// map[apples:3]
	// map[apples:2]
	// map[apples:2 pears:2]
}

// A Publisher whose state is its last update gives each new member the last value
// and then those that follow.
func ExampleNewPublisher_lastValue() {
	price := staterpc.NewPublisher(0, func(_, last int) int { return last }, 100)
	price.Publish(100)
	price.Publish(120)
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	last, updates, _ := price.Watch(ctx)
	price.Publish(90)
	for next := range updates {
		fmt.Println("joined at", last, "then", next)
		break
	}
	// Output: joined at 120 then 90
}

func ExamplePush() {
	handler := stock.Handler(staterpc.Push(10, func(_ context.Context, _ string, w *staterpc.Writer[Move]) (Stock, error) {
		w.Send(Move{"apples", 1}) // the caller gets it after the state
		w.Close(nil)
		return Stock{"apples": 3}, nil
	}))
	state, moves, _ := stock.Client(bus.Local(handler))(context.Background(), "")
	fmt.Println(state)
	for m := range moves {
		fmt.Println(m)
	}
	// Output:
	// map[apples:3]
	// {apples 1}
}

// A screen shows how many of each article there are, and takes its time. Moves that
// come meanwhile are one when it comes for the next.
func ExampleConflate() {
	store := staterpc.NewPublisher(Stock{"apples": 3}, apply, 100)
	caller := bus.Local(stock.Handler(func(ctx context.Context, _ string) (Stock, iter.Seq2[Move, error], error) {
		return store.Watch(ctx)
	}))
	merge := func(older, newer Move) Move { // all moves are of one article here
		return Move{newer.Article, older.By + newer.By}
	}

	state, moves, err := staterpc.Conflate(stock.Client(caller), merge)(context.Background(), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("shows", state)
	for range 50 {
		store.Publish(Move{"apples", 2})
	}
	for m, err := range moves {
		if err != nil {
			fmt.Println(err)
			return
		}
		if state = apply(state, m); state["apples"] == 103 { // in fewer than 50 steps
			fmt.Println("shows", state)
			break // waits for the goroutine that merged
		}
	}
	// Output:
	// shows map[apples:3]
	// shows map[apples:103]
}

func ExampleStrict() {
	flawed := func(context.Context, string) (Stock, iter.Seq2[Move, error], error) {
		return Stock{"apples": 3}, func(yield func(Move, error) bool) {
			_ = yield(Move{}, &bus.ElementError{Err: fmt.Errorf("no article 17")}) && yield(Move{"pears", 2}, nil)
		}, nil
	}
	_, moves, _ := staterpc.Strict(flawed)(context.Background(), "")
	for m, err := range moves {
		fmt.Println(m, err) // the replica would be wrong from here on
	}
	// Output:
	// { 0} lost: an update was not converted: no article 17
}
