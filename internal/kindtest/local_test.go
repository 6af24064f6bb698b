// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLawsHoldOverLocal(t *testing.T) {
	Laws(t, func(_ *testing.T, handlers ...bus.Handler) bus.Caller { return bus.Local(handlers...) })
}

func TestWhatCannotBeServedIsRefused(t *testing.T) {
	noFunc := unaryrpc.RPC[string, string]{Name: "laws.nil", Version: 1}
	for name, h := range map[string]bus.Handler{
		"nil one-way":    onewayrpc.RPC[string]{Name: "laws.nil", Version: 1}.Handler(nil),
		"nil unary":      noFunc.Handler(nil),
		"nil pipe":       piperpc.RPC[string, string]{Name: "laws.nil", Version: 1}.Handler(nil),
		"nil state":      staterpc.RPC[string, string, string]{Name: "laws.nil", Version: 1}.Handler(nil),
		"nil push":       piperpc.RPC[string, string]{Name: "laws.nil", Version: 1}.Handler(piperpc.Push[string, string](1, nil)),
		"nil strict":     staterpc.RPC[string, string, string]{Name: "laws.nil", Version: 1}.Handler(staterpc.Strict[string, string, string](nil)),
		"nil in family":  versioned.New(noFunc).Handlers(nil)[0],
		"nil converted":  family3.Handlers(nil)[2],
		"bad name":       unaryrpc.RPC[string, string]{Name: "two words", Version: 1}.Handler(echo),
		"bad version":    unaryrpc.RPC[string, string]{Name: "laws.bad"}.Handler(echo),
		"empty family":   versioned.New[unaryrpc.Func[string, string]]().Handlers(echo)[0],
		"bad name again": versioned.New(unaryrpc.RPC[string, string]{Name: "two words", Version: 1}).Handlers(echo)[0],
	} {
		_, err := bus.Local(h).Call(t.Context(), bus.Call{Description: bus.MenuDescription})
		if e, ok := errors.AsType[*bus.Error](err); !ok || e.Code != bus.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func echo(_ context.Context, q string) (string, error) { return q, nil }
