// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// A hostile is a connection that publishes packets of its own making. All that
// is sent to the subjects below its name is kept.
type hostile struct {
	conn *transport.SimConn
	name string

	mu  sync.Mutex // guards the field below
	got []transport.Msg
}

func newHostile(t *testing.T, net *transport.Net, name string) *hostile {
	h := &hostile{conn: net.Dial(), name: name}
	h.subscribe(t, name+".>", h.keep)
	return h
}

func (h *hostile) keep(m transport.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, m)
}

// kept returns what was kept since the last forget.
func (h *hostile) kept() []transport.Msg {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func (h *hostile) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = nil
}

func (h *hostile) subscribe(t *testing.T, subject string, f func(transport.Msg)) {
	sub, err := h.conn.Subscribe(subject, "", f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sub.Unsubscribe(); err != nil {
			t.Error(err)
		}
	})
}

// packet is frames in a packet with a number.
func packet(n uint64, frames ...[]byte) []byte {
	var p []byte
	for _, f := range frames {
		p = append(p, f...)
	}
	return wire.AppendNumber(p, n)
}

// unknownFrame is a frame of kind 99.
func unknownFrame() []byte { return []byte{0x0a, 3, 0x9a, 0x06, 0} }

// torn is no packet: a frame that is shorter than it says.
func torn() []byte { return []byte{0x0a, 200, 1} }

// A badReply is what a hostile responder sends to a caller, and what becomes of
// it: how the call ends or, where it ends well, what the client counts.
type badReply struct {
	name  string
	kind  bus.Kind
	query int // bytes
	sends func(call uint64) [][]byte
	code  bus.Code // "" is a good end
	says  string   // in the error
	drop  string   // reason in Client.Dropped
}

func accept(call uint64) []byte {
	return wire.Accept{Call: call, Protocol: 1, Instance: "hostile", Session: 7}.Append(nil)
}

func end(call, seq, count uint64) []byte {
	return wire.End{Call: call, Seq: seq, Count: count}.Append(nil)
}

func first(call uint64) []byte { return wire.First{Call: call, Seq: 1, Data: []byte("1")}.Append(nil) }

func data(call, seq uint64, size int) []byte {
	var b wire.Batch
	b.AppendBytes(make([]byte, size))
	return append([]byte(nil), b.Packet(wire.Data{Call: call, Seq: seq})...)
}

// elements are n updates of one byte.
func elements(n int) []byte {
	var b wire.Batch
	for range n {
		b.AppendBytes([]byte("1"))
	}
	return b.Records()
}

// answered is a good answer to a unary call, behind what is bad.
func answered(call uint64, bad ...[]byte) [][]byte {
	return append(bad, packet(1, accept(call), first(call)))
}

// streamed is a good stream of one update around what is bad.
func streamed(call uint64, bad ...[]byte) [][]byte {
	all := append([][]byte{packet(1, accept(call), first(call))}, bad...)
	return append(all, packet(2, data(call, 2, 5)), packet(2, end(call, 3, 1)))
}

var badReplies = []badReply{
	{
		name: "a torn packet", kind: bus.Unary, drop: "malformed message",
		sends: func(call uint64) [][]byte { return answered(call, torn()) },
	},
	{
		name: "nothing", kind: bus.Unary, drop: "malformed message",
		sends: func(call uint64) [][]byte { return answered(call, nil) },
	},
	{
		name: "text", kind: bus.Unary, drop: "malformed message",
		sends: func(call uint64) [][]byte { return answered(call, []byte("hello")) },
	},
	{
		name: "a frame with a torn body", kind: bus.Unary, drop: "malformed message",
		sends: func(call uint64) [][]byte { return answered(call, []byte{0x0a, 4, 0x1a, 2, 0x08, 0xff}) },
	},
	{
		name: "a frame of unknown kind before the answer", kind: bus.Unary, drop: "frame of unknown kind",
		sends: func(call uint64) [][]byte {
			return [][]byte{packet(1, accept(call), unknownFrame(), first(call))}
		},
	},
	{
		name: "a frame that callers send", kind: bus.Unary, drop: "frame that does not belong here",
		sends: func(call uint64) [][]byte {
			return answered(call, wire.Open{Client: "c", Call: call}.Append(nil), wire.Cancel{Call: call}.Append(nil))
		},
	},
	{
		name: "an answer to a call that was never made", kind: bus.Unary, drop: "frame of a call that has ended",
		sends: func(call uint64) [][]byte { return answered(call, packet(1, first(call+1000))) },
	},
	{
		name: "updates of a call that was never made", kind: bus.Pipe, drop: "frame of a call that has ended",
		sends: func(call uint64) [][]byte { return streamed(call, data(call+1000, 1, 5)) },
	},
	{
		name: "an answer to a question that was never asked", kind: bus.Unary, drop: "frame of a call that has ended",
		sends: func(call uint64) [][]byte {
			return answered(call, wire.Served{Instance: "hostile", Versions: []uint32{9}}.Append(nil))
		},
	},
	{
		name: "another protocol version", kind: bus.Unary, code: bus.Invalid, says: "protocol version 2, this caller 1",
		sends: func(call uint64) [][]byte {
			return [][]byte{wire.Accept{Call: call, Protocol: 2, Instance: "hostile", Session: 7}.Append(nil)}
		},
	},
	{
		name: "an Accept repeated", kind: bus.Pipe,
		sends: func(call uint64) [][]byte { return streamed(call, packet(2, accept(call))) },
	},
	{
		name: "Accepts of two responders", kind: bus.Pipe, code: bus.Lost, says: "two responders",
		sends: func(call uint64) [][]byte {
			return streamed(call, packet(1, wire.Accept{Call: call, Protocol: 1, Instance: "another", Session: 7}.Append(nil)))
		},
	},
	{
		name: "a first value beyond the allowance", kind: bus.State, code: bus.Lost, says: "more than it had credit for",
		sends: func(call uint64) [][]byte {
			return [][]byte{packet(1, accept(call), wire.First{Call: call, Seq: 1, Data: make([]byte, 64<<10+1)}.Append(nil))}
		},
	},
	{
		name: "two first values", kind: bus.State, code: bus.Lost, says: "a first frame came where none belongs",
		sends: func(call uint64) [][]byte {
			return streamed(call, packet(2, wire.First{Call: call, Seq: 2, Data: []byte("2")}.Append(nil)))
		},
	},
	{
		name: "a value of 2^63 bytes announced", kind: bus.State, code: bus.Lost, says: "9223372036854775808 bytes was announced, at most 67108864",
		sends: func(call uint64) [][]byte {
			return [][]byte{packet(1, accept(call), wire.First{Call: call, Seq: 1, Total: 1 << 63}.Append(nil))}
		},
	},
	{
		name: "a value of one byte too many announced", kind: bus.State, code: bus.Lost, says: "67108865 bytes was announced, at most 67108864",
		sends: func(call uint64) [][]byte {
			return [][]byte{packet(1, accept(call), wire.First{Call: call, Seq: 1, Total: bus.MaxValue + 1}.Append(nil))}
		},
	},
	{
		name: "an update of 2^63 bytes announced", kind: bus.Pipe, code: bus.Lost, says: "9223372036854775808 bytes was announced, at most 67108864",
		sends: func(call uint64) [][]byte {
			return streamed(call, packet(2, wire.Chunk{Call: call, Seq: 2, Total: 1 << 63, Data: []byte("1")}.Append(nil)))
		},
	},
	{
		name: "pieces beyond the total", kind: bus.State, code: bus.Lost, says: "a chunk frame came where none belongs",
		sends: func(call uint64) [][]byte {
			return [][]byte{
				packet(1, accept(call), wire.First{Call: call, Seq: 1, Total: 10, Data: []byte("1234")}.Append(nil)),
				packet(2, wire.Chunk{Call: call, Seq: 2, Data: []byte("1234567")}.Append(nil)),
			}
		},
	},
	{
		name: "a piece of nothing", kind: bus.Pipe, code: bus.Lost, says: "a chunk frame came where none belongs",
		sends: func(call uint64) [][]byte {
			return streamed(call, packet(2, wire.Chunk{Call: call, Seq: 2, Data: []byte("1")}.Append(nil)))
		},
	},
	{
		name: "an update within another", kind: bus.Pipe, code: bus.Lost, says: "an update came within another",
		sends: func(call uint64) [][]byte {
			return [][]byte{
				packet(1, accept(call), first(call)),
				packet(2, wire.Chunk{Call: call, Seq: 2, Total: 10, Data: []byte("1")}.Append(nil)),
				data(call, 3, 5),
			}
		},
	},
	{
		name: "updates beyond the credit", kind: bus.Pipe, code: bus.Lost, says: "more than it had credit for",
		sends: func(call uint64) [][]byte {
			return [][]byte{
				packet(1, accept(call), first(call)),
				data(call, 2, 100_000), data(call, 3, 100_000), data(call, 4, 100_000),
			}
		},
	},
	{
		name: "updates before the answer", kind: bus.Pipe, code: bus.Lost, says: "a data frame came where none belongs",
		sends: func(call uint64) [][]byte { return [][]byte{packet(1, accept(call)), data(call, 1, 5)} },
	},
	{
		name: "updates of further on in their source", kind: bus.State, code: bus.Lost, says: "behind position 7 of their source came behind 5",
		sends: func(call uint64) [][]byte {
			return [][]byte{
				packet(1, accept(call), wire.First{Call: call, Seq: 1, Epoch: "e", Position: 5, Data: []byte("1")}.Append(nil)),
				wire.Data{Call: call, Seq: 2, Before: 7, Last: 8, Elements: elements(1)}.Append(nil),
			}
		},
	},
	{
		name: "a frame left out", kind: bus.Pipe, code: bus.Lost, says: "frame 4 came after 1",
		sends: func(call uint64) [][]byte { return streamed(call, data(call, 4, 5)) },
	},
	{
		name: "a frame repeated", kind: bus.Pipe, drop: "repeated frame",
		sends: func(call uint64) [][]byte { return streamed(call, packet(2, first(call))) },
	},
	{
		name: "a frame after the end", kind: bus.Pipe, drop: "repeated frame",
		sends: func(call uint64) [][]byte { return append(streamed(call), data(call, 4, 5)) },
	},
	{
		name: "an end with a wrong count", kind: bus.Pipe, code: bus.Lost, says: "5 updates were sent, 0 arrived",
		sends: func(call uint64) [][]byte { return [][]byte{packet(1, accept(call), first(call)), end(call, 2, 5)} },
	},
	{
		name: "an end within an update", kind: bus.Pipe, code: bus.Lost, says: "ended within an update",
		sends: func(call uint64) [][]byte {
			return [][]byte{
				packet(1, accept(call), first(call)),
				packet(2, wire.Chunk{Call: call, Seq: 2, Total: 10, Data: []byte("1")}.Append(nil)),
				end(call, 3, 0),
			}
		},
	},
	{
		name: "an end without an answer", kind: bus.Unary, code: bus.Lost, says: "ended without an answer",
		sends: func(call uint64) [][]byte { return [][]byte{packet(1, accept(call), end(call, 1, 0))} },
	},
	{
		name: "an end of a code that does not exist yet", kind: bus.Unary, code: bus.Failed, says: "overslept: it was late",
		sends: func(call uint64) [][]byte {
			return [][]byte{wire.End{Call: call, Seq: 1, Error: &wire.Error{Code: "overslept", Message: "it was late"}}.Append(nil)}
		},
	},
	{
		name: "updates that are none", kind: bus.Pipe, drop: "malformed message",
		sends: func(call uint64) [][]byte {
			return streamed(call, wire.Data{Call: call, Seq: 2, Elements: []byte{0x32, 9, 1}}.Append(nil))
		},
	},
	{
		name: "a reset of an open stream", kind: bus.Pipe, code: bus.Lost, says: "has no such call any more",
		sends: func(call uint64) [][]byte { return streamed(call, wire.Reset{Call: call}.Append(nil)) },
	},
	{
		name: "credit that goes back", kind: bus.Unary, query: 3 << 20, drop: "credit that goes back",
		sends: func(call uint64) [][]byte {
			return answered(call,
				packet(1, wire.Accept{Call: call, Protocol: 1, Instance: "hostile", Session: 7, Credit: 1 << 20}.Append(nil)),
				wire.Credit{Call: call, Total: 1 << 19}.Append(nil))
		},
	},
	{
		name: "peer credit used without end", kind: bus.Pipe,
		sends: func(call uint64) [][]byte {
			return streamed(call, packet(2, wire.Beat{From: "hostile", Used: 1<<64 - 1}.Append(nil)))
		},
	},
}

func TestACallerSurvivesWhatAResponderSends(t *testing.T) {
	for _, c := range badReplies {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { receiveBad(t, c) })
		})
	}
}

func receiveBad(t *testing.T, c badReply) {
	net := transport.NewNet(1)
	client := serveGood(t, net)
	good := watch(t, client)
	h := newHostile(t, net, "_D.c.hostile") // where it is written to
	h.subscribe(t, "bad.v1", func(m transport.Msg) {
		n, _ := wire.Number(m.Data)
		for _, p := range c.sends(n) {
			if err := h.conn.Publish(m.Reply, "_D.c.hostile.token.1", p); err != nil {
				t.Error(err)
			}
		}
	})
	err := callBad(t, client, bus.Call{Description: bus.Description{Name: "bad", Version: 1, Kind: c.kind}, Query: make([]byte, c.query)})
	checkBadEnd(t, c, err)
	if c.drop != "" && client.Dropped()[c.drop] == 0 {
		t.Errorf("dropped: %v, want one %q", client.Dropped(), c.drop)
	}
	good.undisturbed(t)
}

// serveGood serves the bystanders' RPCs and returns a client of them.
func serveGood(t *testing.T, net *transport.Net) *bus.Client {
	t.Helper()
	srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "good"}, goodHandlers()...)
	if err != nil {
		t.Fatal(err)
	}
	client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
	return client
}

// callBad calls, lets everything arrive that was sent at once, and reads to the
// end.
func callBad(t *testing.T, client *bus.Client, call bus.Call) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := client.Call(ctx, call)
	if err != nil || r.Updates == nil {
		synctest.Wait()
		return err
	}
	synctest.Wait()
	for _, uerr := range r.Updates {
		if uerr != nil {
			return uerr
		}
	}
	return nil
}

func checkBadEnd(t *testing.T, c badReply, err error) {
	t.Helper()
	if c.code == "" {
		if err != nil {
			t.Error("the call:", err)
		}
		return
	}
	e, ok := errors.AsType[*bus.Error](err)
	if !ok || e.Code != c.code || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "bad.v1") {
		t.Errorf("the call: %v; want %q that says %q", err, c.code, c.says)
	}
}

// A responder that has a caller's address may claim calls that are another's.
func TestAHeartbeatSpeaksOnlyForCallsOfItsSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		client := serveGood(t, net)
		good := watch(t, client)
		h := newHostile(t, net, "_D.c.hostile")
		h.subscribe(t, "bad.v1", func(m transport.Msg) {
			n, _ := wire.Number(m.Data)
			lie := wire.Beat{From: "hostile"}
			for call := range n {
				lie.Calls = append(lie.Calls, wire.BeatCall{Call: call, Number: 1 << 40})
			}
			for _, p := range answered(n, packet(1, lie.Append(nil))) {
				if err := h.conn.Publish(m.Reply, "_D.c.hostile.token.1", p); err != nil {
					t.Error(err)
				}
			}
		})
		call := bus.Call{Description: bus.Description{Name: "bad", Version: 1, Kind: bus.Unary}}
		if _, err := client.Call(t.Context(), call); err != nil {
			t.Error("the call:", err)
		}
		good.undisturbed(t)
		if client.Dropped()["message for an unknown session"] == 0 {
			t.Errorf("dropped: %v, want the heartbeat's claims among them", client.Dropped())
		}
	})
}
