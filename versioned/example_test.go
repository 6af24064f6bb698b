// SPDX-License-Identifier: Apache-2.0

package versioned_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// Version 1, in a file of its own.
var greet1 = unaryrpc.RPC[string, string]{Name: "hello.greet", Version: 1}

// Version 2, in another: its types, its RPC, its two conversions, and one line.
type (
	Person   struct{ First, Last string }
	Greeting struct{ Text string }
)

var greet2 = unaryrpc.RPC[Person, Greeting]{Name: "hello.greet", Version: 2}

var (
	upFrom1 = unaryrpc.Convert(
		func(p Person) string { return p.First + " " + p.Last },
		func(s string) Greeting { return Greeting{s} })
	downTo1 = unaryrpc.Convert(
		func(s string) Person { first, last, _ := strings.Cut(s, " "); return Person{first, last} },
		func(g Greeting) string { return g.Text })
)

// Greet is what programs use, whatever the other side has.
var Greet = versioned.New(greet2, versioned.Via(greet1, upFrom1, downTo1))

func Example() {
	implementation := func(_ context.Context, p Person) (Greeting, error) {
		return Greeting{"Hello, " + p.First + "!"}, nil
	}
	young := bus.Local(Greet.Handlers(implementation)...)
	old := bus.Local(greet1.Handler(func(_ context.Context, name string) (string, error) {
		return "Hi, " + name, nil
	}))
	for _, responder := range []bus.Caller{young, old} {
		var info bus.Info
		g, err := Greet.Client(responder)(bus.WithInfo(context.Background(), &info), Person{"Ada", "Lovelace"})
		fmt.Println(g.Text, err, info.RPC)
	}
	s, err := greet1.Client(young)(context.Background(), "Ada Lovelace")
	fmt.Println(s, err)
	// Output:
	// Hello, Ada! <nil> hello.greet.v2
	// Hi, Ada Lovelace <nil> hello.greet.v1
	// Hello, Ada! <nil>
}

// A kind may change between versions: what was asked for once is watched now.
func Example_kindChanges() {
	type noUpdate = struct{}
	watch2 := staterpc.RPC[string, string, noUpdate]{Name: "hello.greet", Version: 2}
	watch := versioned.New(watch2, versioned.Via(greet1, func(ask unaryrpc.Func[string, string]) staterpc.Func[string, string, noUpdate] {
		return func(ctx context.Context, name string) (string, iter.Seq2[noUpdate, error], error) {
			s, err := ask(ctx, name)
			return s, func(func(noUpdate, error) bool) {}, err
		}
	}, nil))
	old := bus.Local(greet1.Handler(func(_ context.Context, name string) (string, error) { return "Hi, " + name, nil }))
	state, _, err := watch.Client(old)(context.Background(), "Ada")
	fmt.Println(state, err)
	// Output: Hi, Ada <nil>
}

func ExampleFamily_Prefer() {
	heldBack := Greet.Prefer(1)
	all := bus.Local(Greet.Handlers(func(context.Context, Person) (Greeting, error) { return Greeting{}, nil })...)
	fmt.Println(heldBack.Pick(context.Background(), all))
	// Output: hello.greet.v1 <nil>
}

func ExampleChoose() {
	fmt.Println(versioned.Choose(Greet, greet1))
	_, err := versioned.Choose(greet2, greet1)
	fmt.Println(errors.Is(err, bus.Unserved), err)
	// Output:
	// hello.greet.v1 <nil>
	// true hello.greet: version unserved: served: [1]; called: [2]
}
