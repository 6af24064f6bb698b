// SPDX-License-Identifier: Apache-2.0

package menu_test

import (
	"context"
	"fmt"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/unaryrpc"
)

func ExampleFetch() {
	greet := unaryrpc.RPC[string, string]{Name: "hello.greet", Version: 1}
	caller := bus.Local(greet.Handler(func(_ context.Context, s string) (string, error) { return s, nil }))
	m, err := menu.Fetch(context.Background(), caller)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range m {
		fmt.Println(e.Description, e.Kind, e.Instances)
	}
	fmt.Println("did you mean", m.Nearest("hello.gret", 1))
	// Output:
	// durabus.menu.v1 unary [local]
	// hello.greet.v1 unary [local]
	// did you mean [hello.greet]
}
