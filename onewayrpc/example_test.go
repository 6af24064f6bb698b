// SPDX-License-Identifier: Apache-2.0

package onewayrpc_test

import (
	"context"
	"fmt"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
)

var setInterval = onewayrpc.RPC[time.Duration]{Name: "procs.interval", Version: 1}

func Example() {
	caller := bus.Local(setInterval.Handler(func(_ context.Context, d time.Duration) error {
		fmt.Println("sampling every", d)
		return nil
	}))
	fmt.Println(setInterval.Client(caller)(context.Background(), time.Second))
	// Output:
	// sampling every 1s
	// <nil>
}
