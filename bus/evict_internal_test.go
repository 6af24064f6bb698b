// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// Whoever makes room for others must not take a caller's record from under a request
// that has just found it, nor from a reader of a feed: nobody would look after them.
func TestASessionIsNotForgottenForOthersWhileItIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Description{Name: "pipe", Version: 1, Kind: Pipe}
		srv, err := serve(transport.NewNet(1).Dial(), Service{Name: "test"}, Handler{Description: d, Call: func(context.Context, Call) (Reply, error) {
			return Reply{}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		o := &wire.Open{Protocol: 1, Client: "caller", Call: 1, Kind: uint32(Pipe), SentUS: 1}
		found, err := srv.sessionOf(o)
		if err != nil {
			t.Fatal(err)
		}
		room := func() {
			found.mu.Lock()
			found.idle = srv.now() - time.Minute
			found.mu.Unlock()
			srv.mu.Lock()
			srv.makeRoom()
			srv.mu.Unlock()
		}
		found.feeds = map[uint64]*feed{1: new(feed)}
		if room(); srv.sessions["caller"] != found {
			t.Error("a reader of a feed was forgotten")
		}
		found.feeds = nil
		if room(); srv.sessions["caller"] != nil {
			t.Error("who is idle was not forgotten")
		}
		j := srv.newJob(srv.byName[d.String()], o, &transport.Msg{Reply: "reply"}, srv.now())
		j.sess = found
		if err := srv.admit(j, o, 1); err != nil || srv.sessions["caller"] != j.sess {
			t.Errorf("the call is in a session that is forgotten; %v", err)
		}
		srv.unenter(j)
		j.ctx.end(nil)
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}
