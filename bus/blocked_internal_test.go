// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// A caller that gives no credit and leaves its streams, over and over, costs no more
// than those that are open.
func TestStreamsThatWaitedForCreditAreForgottenWithTheirCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		d := Description{Name: "pipe", Version: 1, Kind: Pipe}
		srv, err := serve(net.Dial(), Service{Name: "test"}, Handler{Description: d, Call: func(ctx context.Context, _ Call) (Reply, error) {
			var updates iter.Seq2[Element, error] = func(yield func(Element, error) bool) {
				yield(ElementOf([]byte("x")), nil)
				<-ctx.Done()
			}
			return Reply{Updates: updates}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		caller, address := net.Dial(), ""
		inbox, err := caller.Subscribe("caller.*", "", func(m transport.Msg) { address = m.Reply })
		if err != nil {
			t.Fatal(err)
		}
		say := func(subject string, frame []byte, n uint64) {
			if err := caller.Publish(subject, "caller.1", wire.AppendNumber(frame, n)); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		for call := uint64(1); call <= 100; call++ {
			o := wire.Open{Protocol: 1, Client: "caller", Call: call, Kind: uint32(Pipe), SentUS: 1, Credit: streamWindow}
			say("pipe.v1", o.Append(nil), call)
			say(address, wire.Reset{Call: call}.Append(nil), call)
		}
		sess := srv.sessions["caller"]
		if n, jobs := len(sess.blocked), len(sess.jobs); n > 0 || jobs > 0 {
			t.Errorf("%d streams wait for credit of %d calls", n, jobs)
		}
		for _, end := range []func() error{srv.Close, inbox.Unsubscribe} {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
}
