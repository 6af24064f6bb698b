// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/internal/transport"
)

// A dump is where garbage arrives, by what subject.
type dump struct {
	net  *transport.Net
	srv  *Server
	take map[string]func(reply string)
}

func newDump(t testing.TB) *dump {
	h := Handler{
		Description: Description{Name: "garbage.call", Version: 1, Kind: Unary},
		Call:        func(context.Context, Call) (Reply, error) { return Reply{}, nil },
	}
	net := transport.NewNet(1)
	srv, err := serve(net.Dial(), Service{Name: "test"}, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	in := &intake{srv: srv}
	garbage := make([]byte, 64)
	for i := range garbage {
		garbage[i] = byte(0xff - i)
	}
	msg := func(subject, reply string) transport.Msg {
		return transport.Msg{Subject: subject, Reply: reply, Data: garbage}
	}
	return &dump{net, srv, map[string]func(string){
		"request": func(reply string) { in.request(srv.points[0], msg("garbage.call.v1", reply)) },
		"control": func(reply string) { srv.control(msg("_D.c."+srv.instance+".none.1", reply)) },
		"menu":    func(reply string) { srv.asked("garbage.call", msg("_D.m.garbage.call.one", reply)) },
	}}
}

func TestGarbageIsAnsweredSoOftenAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDump(t)
		var answers atomic.Int64
		sub, err := d.net.Dial().Subscribe("_INBOX.flood", "", func(transport.Msg) { answers.Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		for range 3 * maxUnreadable {
			d.take["request"]("_INBOX.flood")
		}
		synctest.Wait()
		if n := answers.Load(); n != maxUnreadable {
			t.Errorf("%d answers to a flood, want %d", n, maxUnreadable)
		}
		time.Sleep(time.Second)
		d.take["request"]("_INBOX.flood")
		synctest.Wait()
		if n := answers.Load(); n != maxUnreadable+1 {
			t.Errorf("%d answers a second later, want one more than %d", n, maxUnreadable)
		}
		if n := d.srv.Dropped()[dropMalformed]; n != 3*maxUnreadable+1 {
			t.Errorf("%d drops are counted, want all: %d", n, 3*maxUnreadable+1)
		}
	})
}

// TestGarbageCostsLittle is of what a flood consists of: nobody reads the errors.
func TestGarbageCostsLittle(t *testing.T) {
	const most = 4 // the error, its numbers, and what would be logged
	d := newDump(t)
	for range maxUnreadable {
		d.take["request"]("_INBOX.flood")
	}
	for name, take := range d.take {
		if n := testing.AllocsPerRun(1000, func() { take("") }); n > most {
			t.Errorf("%s: %v allocations for a message, want at most %d", name, n, most)
		}
	}
}

func BenchmarkGarbage(b *testing.B) {
	for _, reply := range []string{"", "_INBOX.nobody"} {
		for name, take := range newDump(b).take {
			b.Run(name+map[bool]string{true: "/reply"}[reply != ""], func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					take(reply)
				}
			})
		}
	}
}
