// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

var whoami = unaryrpc.RPC[string, string]{Name: "who.ami", Version: 1}

type userKey struct{}

// identify puts the caller into the handler's context, or refuses it.
func identify(users map[string]string) bus.Middleware {
	return func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			user, ok := users[bus.IncomingCall(ctx).Metadata["token"]]
			if !ok {
				return bus.Reply{}, &bus.Error{Code: bus.Unauthorized, Message: "no such token; log in again"}
			}
			return next(context.WithValue(ctx, userKey{}, user), c)
		}
	}
}

// Identification and authorization are middleware of the service: for all kinds,
// and with the code Unauthorized, which says that the handler did not run.
func ExampleMiddleware_authorization() {
	handler := whoami.Handler(func(ctx context.Context, _ string) (string, error) {
		return ctx.Value(userKey{}).(string), nil
	})
	caller := bus.Local(handler.With(identify(map[string]string{"secret": "Ada"})))
	ask := whoami.Client(caller)

	ctx := bus.WithMetadata(context.Background(), bus.Metadata{"token": "secret"})
	fmt.Println(ask(ctx, ""))
	_, err := ask(context.Background(), "")
	fmt.Println(errors.Is(err, bus.Unauthorized), bus.OutcomeOf(err))
	// Output:
	// Ada <nil>
	// true refused
}

// Events that a program counts, logs or draws.
func ExampleTrace() {
	handler := whoami.Handler(func(context.Context, string) (string, error) { return "Ada", nil })
	caller := bus.Wrap(bus.Local(handler), bus.Trace(func(ev bus.TraceEvent) {
		fmt.Println(ev.Call, ev.RPC, ev.Kind, ev.Bytes, ev.Err)
	}))
	_, _ = whoami.Client(caller)(context.Background(), "?")
	// Output:
	// 1 who.ami.v1 queried 3 <nil>
	// 1 who.ami.v1 accepted 5 <nil>
	// 1 who.ami.v1 ended 0 <nil>
}
