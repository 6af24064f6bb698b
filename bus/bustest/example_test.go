// SPDX-License-Identifier: Apache-2.0

package bustest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/unaryrpc"
)

// What a program does while the broker is away, and after an upgrade.
func ExampleLink() {
	greet := unaryrpc.RPC[string, string]{Name: "example.greet", Version: 1}
	say := func(hello string) bus.Handler {
		return greet.Handler(func(_ context.Context, name string) (string, error) { return hello + ", " + name, nil })
	}
	link := bustest.NewLink(say("Hello"))
	client := greet.Client(link)

	fmt.Println(client(context.Background(), "Ada"))
	link.Cut()
	_, err := client(context.Background(), "Ada")
	fmt.Println(errors.Is(err, bus.Disconnected))
	link.Heal(say("Good morning"))
	fmt.Println(client(context.Background(), "Ada"))
	// Output:
	// Hello, Ada <nil>
	// true
	// Good morning, Ada <nil>
}
