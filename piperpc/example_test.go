// SPDX-License-Identifier: Apache-2.0

package piperpc_test

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
)

var countdown = piperpc.RPC[int, int]{Name: "clock.countdown", Version: 1}

func from(_ context.Context, n int) (iter.Seq2[int, error], error) {
	return func(yield func(int, error) bool) {
		for ; n > 0; n-- {
			if !yield(n, nil) {
				return // nobody reads any more
			}
		}
	}, nil
}

func Example() {
	open := countdown.Client(bus.Local(countdown.Handler(from)))
	updates, err := open(context.Background(), 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	for n, err := range updates {
		if err != nil {
			fmt.Println(err) // the stream was cut short
			return
		}
		fmt.Println(n)
	}
	// Output:
	// 3
	// 2
	// 1
}

func ExamplePush() {
	push := piperpc.Push(10, func(_ context.Context, n int, w *piperpc.Writer[int]) error {
		for ; n > 0; n-- {
			w.Send(n) // a callback that must not wait would Offer
		}
		w.Close(nil)
		return nil // accepted; an error here rejects the query and drops the updates
	})
	updates, _ := countdown.Client(bus.Local(countdown.Handler(push)))(context.Background(), 2)
	for n, err := range updates {
		fmt.Println(n, err)
	}
	// Output:
	// 2 <nil>
	// 1 <nil>
}

func ExampleMap() {
	updates, _ := from(context.Background(), 3)
	small := piperpc.Map(updates, func(n int) (string, error) {
		if n > 2 {
			return "", fmt.Errorf("%d is too many", n)
		}
		return strconv.Itoa(n), nil
	})
	for s, err := range small {
		switch {
		case bus.IsElement(err):
			fmt.Println("passed over:", err) // the loop goes on
		case err != nil:
			fmt.Println("the end:", err)
		default:
			fmt.Println(s)
		}
	}
	// Output:
	// passed over: an update was not converted: 3 is too many
	// 2
	// 1
}

func ExampleSplit() {
	updates, _ := from(context.Background(), 3)
	twos := piperpc.Split(updates, func(n int, yield func(string) bool) error {
		for range n - 1 { // 1 falls away
			if !yield("part of " + strconv.Itoa(n)) {
				return nil
			}
		}
		return nil
	})
	for s := range twos {
		fmt.Println(s)
	}
	// Output:
	// part of 3
	// part of 3
	// part of 2
}

func ExampleChan() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // ends the stream and the goroutine of Chan
	updates, _ := countdown.Client(bus.Local(countdown.Handler(from)))(ctx, 2)
	items := piperpc.Chan(ctx, updates)
	for {
		select {
		case item, ok := <-items:
			if !ok {
				fmt.Println("done")
				return
			}
			fmt.Println(item.Update, item.Err)
		case <-ctx.Done():
			return
		}
	}
	// Output:
	// 2 <nil>
	// 1 <nil>
	// done
}
