// SPDX-License-Identifier: Apache-2.0

package unaryrpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

// A definition is one value that both sides import.
var greet = unaryrpc.RPC[string, string]{Name: "hello.greet", Version: 1}

func Example() {
	caller := bus.Local(greet.Handler(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	}))
	answer, err := greet.Client(caller)(context.Background(), "Ada")
	fmt.Println(answer, err)
	// Output: Hello, Ada! <nil>
}

// A NoSuchUser is an error that callers can act on.
type NoSuchUser struct{ Name string }

func (e *NoSuchUser) Error() string { return "there is no user " + e.Name }

var lookup = unaryrpc.RPC[string, int]{
	Name: "users.lookup", Version: 1,
	Errors: []bus.ErrorType{bus.ErrorOf[*NoSuchUser]("no such user")},
}

func ExampleRPC_errors() {
	caller := bus.Local(lookup.Handler(func(_ context.Context, name string) (int, error) {
		return 0, fmt.Errorf("lookup: %w", &NoSuchUser{name})
	}))
	_, err := lookup.Client(caller)(context.Background(), "Bob")
	if e, ok := errors.AsType[*NoSuchUser](err); ok {
		fmt.Println("typed:", e.Name)
	}
	fmt.Println(errors.Is(err, bus.Application))
	fmt.Println(err)
	// Output:
	// typed: Bob
	// true
	// users.lookup.v1: application error (said local): lookup: there is no user Bob
}

func ExampleConvert() {
	type person struct{ Name string }
	v2 := unaryrpc.Convert(
		func(p person) string { return p.Name },
		func(s string) string { return strings.ToUpper(s) },
	)
	v1 := greet.Client(bus.Local(greet.Handler(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	})))
	answer, err := v2(v1)(context.Background(), person{"Ada"})
	fmt.Println(answer, err)
	// Output: HELLO, ADA! <nil>
}
