// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// A raid is a hostile caller at a responder of bad.add, bad.rest, bad.note and
// the bystanders' RPCs.
type raid struct {
	*hostile
	t       *testing.T
	srv     *bus.Server
	own     *transport.SimConn // the server's
	client  *bus.Client        // the bystander's
	runs    atomic.Int64       // of the handlers of bad.…
	address string             // where the server has told us to write to
}

var (
	addRPC  = unaryrpc.RPC[int, int]{Name: "bad.add", Version: 1}
	restRPC = piperpc.RPC[[]byte, int]{Name: "bad.rest", Version: 1}
)

func newRaid(t *testing.T, more ...bus.Handler) (*raid, *bystander) {
	r := raidOn(t, append(goodHandlers(), more...)...)
	return r, watch(t, r.client)
}

// raidOn is a raid at a responder of others' RPCs besides.
func raidOn(t *testing.T, others ...bus.Handler) *raid {
	net := transport.NewNet(1)
	r := &raid{t: t, own: net.Dial()}
	handlers := append(others,
		addRPC.Handler(func(_ context.Context, n int) (int, error) { r.runs.Add(1); return n + 1, nil }),
		restRPC.Handler(func(ctx context.Context, _ []byte) (iter.Seq2[int, error], error) {
			r.runs.Add(1)
			return func(yield func(int, error) bool) {
				yield(1, nil)
				<-ctx.Done()
			}, nil
		}))
	srv, err := bus.ServeOn(r.own, bus.Service{Name: "test"}, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
	r.srv, r.client, r.hostile = srv, client, newHostile(t, net, "hostile")
	return r
}

// open is a request as it should be.
func open(call uint64, kind bus.Kind) wire.Open {
	return wire.Open{
		Protocol: 1, Client: "mallory", Call: call, Kind: uint32(kind), Query: []byte("1"),
		SentUS: 1, Allow: 64 << 10, Credit: 256 << 10, PeerCredit: 256 << 10,
	}
}

// ask publishes a request and returns the first error that comes back, if any.
func (r *raid) ask(subject string, packet []byte) *wire.Error {
	return r.askFor("hostile.reply", subject, packet)
}

func (r *raid) askFor(reply, subject string, packet []byte) *wire.Error {
	r.t.Helper()
	r.forget()
	if err := r.conn.Publish(subject, reply, packet); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
	for _, m := range r.kept() {
		if strings.HasPrefix(m.Reply, "_D.c.") {
			r.address = m.Reply
		}
		if e := errorIn(m.Data); e != nil {
			return e
		}
	}
	return nil
}

// errorIn returns the error of the packet's End.
func errorIn(packet []byte) *wire.Error {
	for {
		kind, body, rest, err := wire.Next(packet)
		if kind == 0 || err != nil {
			return nil
		}
		var end wire.End
		if kind == wire.KindEnd && end.Parse(body) == nil && end.Error != nil {
			return end.Error
		}
		packet = rest
	}
}

func (r *raid) refused(subject string, packet []byte, code bus.Code, says string) {
	r.t.Helper()
	runs := r.runs.Load()
	e := r.ask(subject, packet)
	switch {
	case e == nil:
		r.t.Errorf("it was not refused; want %q that says %q", code, says)
	case e.Code != string(code) || !strings.Contains(e.Message, says):
		r.t.Errorf("refused with %q: %s; want %q that says %q", e.Code, e.Message, code, says)
	case e.MayHaveRun:
		r.t.Error("refused as if it may have run")
	}
	if r.runs.Load() != runs {
		r.t.Error("the handler ran")
	}
}

// dropped runs f and wants the server to count one more drop for reason.
func (r *raid) dropped(reason string, f func()) {
	r.t.Helper()
	before := r.srv.Dropped()[reason]
	f()
	synctest.Wait()
	if n := r.srv.Dropped()[reason] - before; n != 1 {
		r.t.Errorf("%d drops for %q, want 1; all: %v", n, reason, r.srv.Dropped())
	}
}

// control publishes a packet to where the server wants this caller to write.
func (r *raid) control(packet []byte) {
	r.t.Helper()
	if err := r.conn.Publish(r.address, "hostile.later", packet); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// stream opens a stream and leaves it open.
func (r *raid) stream(call uint64) {
	r.t.Helper()
	if e := r.ask("bad.rest.v1", packet(call, open(call, bus.Pipe).Append(nil))); e != nil {
		r.t.Fatal("opening a stream:", e.Message)
	}
}

func (r *raid) instance(rest string) string { return "_D.i." + r.srv.Instance() + "." + rest }

var raids = []struct {
	name string
	run  func(*raid)
}{
	{"a torn packet", func(r *raid) {
		r.dropped("malformed message", func() { r.refused("bad.add.v1", torn(), bus.Undecodable, "not a request") })
	}},
	{"nothing", func(r *raid) {
		r.dropped("malformed message", func() { r.refused("bad.add.v1", nil, bus.Undecodable, "not a request") })
	}},
	{"text without the header for it", func(r *raid) {
		r.dropped("malformed message", func() { r.refused("bad.add.v1", []byte(`"AAPL"`), bus.Undecodable, "Content-Type: application/json") })
	}},
	{"a packet that begins with another frame", func(r *raid) {
		r.refused("bad.add.v1", packet(1, wire.Cancel{Call: 1}.Append(nil)), bus.Undecodable, "kind cancel")
	}},
	{"a packet of an unknown frame", func(r *raid) {
		r.refused("bad.add.v1", packet(1, unknownFrame()), bus.Undecodable, "unknown kind 99")
	}},
	{"no client", func(r *raid) {
		o := open(1, bus.Unary)
		o.Client = ""
		r.refused("bad.add.v1", packet(1, o.Append(nil)), bus.Undecodable, "names no client")
	}},
	{"no call", func(r *raid) {
		r.refused("bad.add.v1", packet(0, open(0, bus.Unary).Append(nil)), bus.Undecodable, "no call")
	}},
	{"another protocol version", func(r *raid) {
		o := open(1, bus.Unary)
		o.Protocol = 2
		r.refused("bad.add.v1", packet(1, o.Append(nil)), bus.Invalid, "protocol version 2, this responder 1")
	}},
	{"another kind", func(r *raid) {
		r.refused("bad.add.v1", packet(1, open(1, bus.Pipe).Append(nil)), bus.Invalid, "called as pipe, served as unary")
	}},
	{"a kind that does not exist", func(r *raid) {
		r.refused("bad.add.v1", packet(1, open(1, 200).Append(nil)), bus.Invalid, "called as unknown kind")
	}},
	{"too much metadata", func(r *raid) {
		o := open(1, bus.Unary)
		o.Metadata = map[string]string{"k": strings.Repeat("v", 16<<10)}
		r.refused("bad.add.v1", packet(1, o.Append(nil)), bus.TooLarge, "16385 bytes of metadata, at most 16384")
	}},
	{"an announced query of 2^63 bytes", func(r *raid) {
		o := open(1, bus.Unary)
		o.Total = 1 << 63
		r.refused("bad.add.v1", packet(1, o.Append(nil)), bus.TooLarge, "9223372036854775808 bytes, at most 67108864")
	}},
	{"a query of another codec", func(r *raid) {
		o := open(1, bus.Unary)
		o.ContentType = "application/protobuf"
		r.refused("bad.add.v1", packet(1, o.Append(nil)), bus.Undecodable, "application/protobuf")
	}},
	{"a query that is not of its type", func(r *raid) {
		o := open(1, bus.Unary)
		o.Query = []byte("{")
		r.refused("bad.add.v1", packet(1, o.Append(nil)), bus.Undecodable, "the query")
	}},
	{"a version that is not served, of the instance", func(r *raid) {
		r.refused(r.instance("bad.add.v7"), packet(1, open(1, bus.Unary).Append(nil)), bus.Unserved, "not served by this instance")
	}},
	{"a name that is not served, of the instance", func(r *raid) {
		r.refused(r.instance("bad.divide.v1"), packet(1, open(1, bus.Unary).Append(nil)), bus.NoResponder, "not served by this instance")
	}},
	{"no name, of the instance", func(r *raid) {
		r.refused(r.instance("x"), packet(1, open(1, bus.Unary).Append(nil)), bus.NoResponder, "not served by this instance")
	}},
	{"a request with no address for its answer", func(r *raid) {
		r.dropped("answer to nobody", func() { r.askFor("", "bad.add.v1", packet(1, open(1, bus.Unary).Append(nil))) })
		if r.runs.Load() != 0 {
			r.t.Error("the handler ran")
		}
	}},
	{"a request repeated", func(r *raid) {
		p := packet(1, open(1, bus.Unary).Append(nil))
		r.ask("bad.add.v1", p)
		r.dropped("repeated request", func() { r.ask("bad.add.v1", p) })
		if r.runs.Load() != 1 {
			r.t.Errorf("the handler ran %d times", r.runs.Load())
		}
	}},
	{"a request that was on its way for too long", func(r *raid) {
		r.aged(2100*time.Millisecond, 0)
	}},
	{"a request that was on its way for longer than its caller waits", func(r *raid) {
		r.aged(time.Second, time.Second)
	}},
	{"a kind that is one of ours but for its high bits", func(r *raid) {
		o := open(1, bus.Unary)
		o.Kind += 256
		r.refused("bad.add.v1", packet(1, o.Append(nil)), bus.Invalid, "called as unknown kind")
	}},
	{"a call number that leaves no other", func(r *raid) {
		for _, call := range []uint64{1<<64 - 1, 1 << 63, 1} {
			r.ask("bad.add.v1", packet(call, open(call, bus.Unary).Append(nil)))
		}
	}},
	{"times and credit at the end of their range", func(r *raid) {
		for i, n := range []uint64{1<<64 - 1, 1 << 63, 1<<63 - 1} {
			o := open(uint64(i+1), bus.Pipe)
			o.TimeoutUS, o.SentUS, o.Allow, o.Credit, o.PeerCredit = n, n, n, n, n
			r.ask("bad.rest.v1", packet(o.Call, o.Append(nil)))
		}
	}},
	{"a wrong token", func(r *raid) {
		r.stream(1)
		r.address = "_D.c." + r.srv.Instance() + ".0123456789abcdef.1"
		r.dropped("message for an unknown session", func() { r.control(packet(2, wire.Cancel{Call: 1}.Append(nil))) })
	}},
	{"a control subject that is none", func(r *raid) {
		r.address = "_D.c." + r.srv.Instance() + ".x"
		r.dropped("message for an unknown session", func() { r.control(packet(2, wire.Cancel{Call: 1}.Append(nil))) })
	}},
	{"a heartbeat in another's name", func(r *raid) {
		r.stream(1)
		r.dropped("message for an unknown session", func() { r.control(packet(2, wire.Beat{From: "alice", Full: true}.Append(nil))) })
	}},
	{"a torn packet to the session", func(r *raid) {
		r.stream(1)
		r.dropped("malformed message", func() { r.control(torn()) })
	}},
	{"a frame with a torn body to the session", func(r *raid) {
		r.stream(1)
		r.dropped("malformed message", func() { r.control([]byte{0x0a, 4, 0x42, 2, 0x08, 0xff}) })
	}},
	{"an unknown frame to the session", func(r *raid) {
		r.stream(1)
		r.dropped("frame of unknown kind", func() { r.control(packet(2, unknownFrame())) })
	}},
	{"a frame that responders send", func(r *raid) {
		r.stream(1)
		r.dropped("frame that does not belong here", func() { r.control(packet(2, first(1))) })
	}},
	{"stream credit that goes back", func(r *raid) {
		r.stream(1)
		r.dropped("credit that goes back", func() { r.control(packet(2, wire.Credit{Call: 1, Total: 5}.Append(nil))) })
	}},
	{"peer credit that goes back", func(r *raid) {
		r.stream(1)
		r.dropped("credit that goes back", func() { r.control(packet(2, wire.Credit{Peer: 5}.Append(nil))) })
	}},
	{"a piece of a query that is whole", func(r *raid) {
		r.stream(1)
		r.dropped("frame of a call that has ended", func() { r.control(packet(2, wire.Chunk{Call: 1, Seq: 1, Data: []byte("1")}.Append(nil))) })
	}},
	{"a piece of a query that nobody asked with", func(r *raid) {
		r.stream(1)
		r.dropped("frame of a call that has ended", func() { r.control(packet(2, wire.Chunk{Call: 2, Seq: 1, Data: []byte("1")}.Append(nil))) })
	}},
	{"pieces beyond the credit", func(r *raid) { r.pieces(64<<20, "piece 1 of the query: overrun", 1<<20) }},
	{"pieces beyond the total", func(r *raid) { r.pieces(10, "piece 2", 6, 6) }},
	{"a menu question that is torn", func(r *raid) {
		r.dropped("malformed message", func() { r.ask("_D.m.bad.add.all", torn()) })
	}},
	{"a menu question from nowhere", func(r *raid) {
		r.dropped("malformed message", func() {
			r.askFor("", "_D.m.bad.add.one", packet(1, wire.Ask{Protocol: 1, Name: "bad.add"}.Append(nil)))
		})
	}},
	{"a services question from nowhere", func(r *raid) {
		r.dropped("answer to nobody", func() { r.askFor("", "$SRV.PING", nil) })
	}},
}

// pieces announces a query of total bytes and sends pieces of these sizes, the
// last of which must be refused.
func (r *raid) pieces(total uint64, says string, sizes ...int) {
	o := open(1, bus.Pipe)
	o.Query, o.Total = nil, total
	r.ask("bad.rest.v1", packet(1, o.Append(nil)))
	r.forget()
	for i, n := range sizes {
		r.control(packet(uint64(i+2), wire.Chunk{Call: 1, Seq: uint64(i + 1), Data: make([]byte, n)}.Append(nil)))
	}
	for _, m := range r.kept() {
		if e := errorIn(m.Data); e != nil {
			if e.Code != string(bus.Lost) || !strings.Contains(e.Message, says) || e.MayHaveRun {
				r.t.Errorf("refused with %+v; want lost that says %q", e, says)
			}
			return
		}
	}
	r.t.Error("the pieces were not refused")
}

// aged sends a request that takes longer than the one before it by age, and wants
// it refused.
func (r *raid) aged(age, timeout time.Duration) {
	o := open(1, bus.Unary)
	o.SentUS = uint64(time.Hour.Microseconds())
	r.ask("bad.add.v1", packet(1, o.Append(nil)))
	o.Call, o.TimeoutUS = 2, uint64(timeout.Microseconds())
	o.SentUS -= uint64(age.Microseconds())
	r.refused("bad.add.v1", packet(2, o.Append(nil)), bus.Expired, "on its way")
}

func TestAResponderSurvivesWhatACallerSends(t *testing.T) {
	for _, c := range raids {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, good := newRaid(t)
				c.run(r)
				good.undisturbed(t)
			})
		})
	}
}

func TestACallerCanOnlyEndItsOwnCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, good := newRaid(t)
		r.stream(1)
		for call := range uint64(100) { // the bystander's among them
			r.control(packet(2, wire.Cancel{Call: call}.Append(nil), wire.Reset{Call: call}.Append(nil)))
		}
		good.undisturbed(t)
	})
}

func TestAPieceOfAQueryIsTakenFromItsCallerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, good := newRaid(t)
		alice := open(9, bus.Pipe)
		alice.Client, alice.Query, alice.Total = "alice", nil, 3
		r.ask("bad.rest.v1", packet(9, alice.Append(nil)))
		r.stream(1) // mallory's, and so is the address
		runs := r.runs.Load()
		r.dropped("frame of a call that has ended", func() {
			r.control(packet(2, wire.Chunk{Call: 9, Seq: 1, Data: []byte("123")}.Append(nil)))
		})
		if r.runs.Load() != runs {
			t.Error("the call of another ran with a query of mallory's")
		}
		good.undisturbed(t)
	})
}

func TestAHeartbeatOfCallsThatAreNotThereIsAnsweredWithResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, good := newRaid(t)
		r.stream(1)
		r.forget()
		r.control(packet(2, wire.Beat{From: "mallory", Calls: []wire.BeatCall{{Call: 1}, {Call: 5}}}.Append(nil)))
		var reset []uint64
		for _, m := range r.kept() {
			kind, body, _, _ := wire.Next(m.Data)
			var f wire.Reset
			if kind == wire.KindReset && f.Parse(body) == nil {
				reset = append(reset, f.Call)
			}
		}
		if len(reset) != 1 || reset[0] != 5 {
			t.Errorf("calls %v were reset, want 5 alone", reset)
		}
		good.undisturbed(t)
	})
}
