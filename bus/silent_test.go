// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
)

func TestACallWhoseFirstAttemptWasSilentMayHaveRunWhateverBecomesOfTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		far := net.Dial()
		double := unaryrpc.RPC[int, int]{Name: "double", Version: 1, Idempotent: true}
		runs := 0
		srv, err := bus.ServeOn(far, bus.Service{Name: "test"}, double.Handler(func(context.Context, int) (int, error) {
			runs++
			far.Freeze(true) // its answer is lost
			return 0, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		time.AfterFunc(300*time.Millisecond, far.Disconnect) // before the call is sent again
		_, err = double.Client(client)(t.Context(), 21)
		if e, ok := errors.AsType[*bus.Error](err); !ok || e.Code != bus.NoResponder || !e.MayHaveRun || runs != 1 {
			t.Errorf("the handler ran %d times, and the call ended with %v, may have run: %v", runs, err, ok && e.MayHaveRun)
		}
		client.Close()
		srv.Close()
	})
}
