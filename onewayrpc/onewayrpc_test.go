// SPDX-License-Identifier: Apache-2.0

package onewayrpc

import (
	"context"
	"errors"
	"testing"

	"github.com/durabus/durabus/bus"
)

func TestNilFuncsStayNilThroughConversions(t *testing.T) {
	var f Func[string]
	if f.MapErrors(nil) != nil || Convert(func(s string) string { return s })(f) != nil {
		t.Error("a nil Func became one that Serve would take")
	}
}

// The server counts what a handler returns, so that it must tell the codes.
func TestAHandlerTellsItsServerWhatBecameOfAMessage(t *testing.T) {
	rpc := RPC[int]{Name: "a.message", Version: 1}
	answer := map[int]error{1: nil, 2: bus.Unauthorized, 3: errors.New("full")}
	h := rpc.Handler(func(_ context.Context, n int) error { return answer[n] })
	for query, want := range map[string]error{"1": nil, "2": bus.Unauthorized, "3": bus.Failed, "one": bus.Undecodable} {
		_, err := h.Call(t.Context(), bus.Call{Query: []byte(query)})
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", query, err, want)
		}
	}
}

func TestFirstGoesOnAfterUnservedAlone(t *testing.T) {
	answers := []error{&bus.Error{Code: bus.Unserved}, &bus.Error{Code: bus.Gone}, nil}
	var tried []int
	f := Func[int](nil).First(func(_ context.Context, after int) (Func[int], int, error) {
		return func(context.Context, int) error { tried = append(tried, after+1); return answers[after+1] }, after + 1, nil
	})
	if err := f(t.Context(), 0); !errors.Is(err, bus.Gone) || len(tried) != 2 {
		t.Errorf("tried %v and got %v", tried, err)
	}
}
