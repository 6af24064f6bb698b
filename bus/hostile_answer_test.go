// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// serveBad has a hostile responder send what sends returns, to each call of bad.v1.
func serveBad(t *testing.T, net *transport.Net, sends func(call uint64) [][]byte) *hostile {
	t.Helper()
	h := newHostile(t, net, "_D.c.hostile")
	h.subscribe(t, "bad.v1", func(m transport.Msg) {
		call, _ := wire.Number(m.Data)
		for _, p := range sends(call) {
			if err := h.conn.Publish(m.Reply, "_D.c.hostile.token.1", p); err != nil {
				t.Error(err)
			}
		}
	})
	return h
}

func bad(kind bus.Kind) bus.Call {
	return bus.Call{Description: bus.Description{Name: "bad", Version: 1, Kind: kind}}
}

func TestWithinAMessageThePositionIsThatBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		client := serveGood(t, net)
		serveBad(t, net, func(call uint64) [][]byte {
			return [][]byte{
				packet(1, accept(call), wire.First{Call: call, Seq: 1, Epoch: "e", Position: 5, Data: []byte("1")}.Append(nil)),
				wire.Data{Call: call, Seq: 2, Before: 5, Last: 8, Elements: elements(3)}.Append(nil),
				wire.Data{Call: call, Seq: 3, Before: 8, Last: 9, Elements: elements(1)}.Append(nil),
				end(call, 4, 4),
			}
		})
		r, err := client.Call(t.Context(), bad(bus.State))
		if err != nil {
			t.Fatal(err)
		}
		wants := []uint64{5, 5, 5, 8}
		for range r.Updates {
			if at, exact := r.Reached(); exact || len(wants) == 0 || at != wants[0] {
				t.Fatalf("at %d, exactly: %v; want %v", at, exact, wants)
			}
			wants = wants[1:]
		}
		if at, exact := r.Reached(); !exact || at != 9 || len(wants) > 0 {
			t.Errorf("at %d in the end, exactly: %v", at, exact)
		}
	})
}

// Peer credit is of what is on its way, and not of what somebody reads.
func TestFramesForAReaderThatHasLeftGiveTheirCreditBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		client := serveGood(t, net)
		var call uint64
		h := serveBad(t, net, func(n uint64) [][]byte {
			call = n
			return [][]byte{packet(1, accept(n), first(n))}
		})
		var reply string
		h.subscribe(t, "bad.v1", func(m transport.Msg) { reply = m.Reply })
		ctx, leave := context.WithCancel(t.Context())
		if _, err := client.Call(ctx, bad(bus.Pipe)); err != nil {
			t.Fatal(err)
		}
		leave()
		synctest.Wait()
		h.forget()
		if err := h.conn.Publish(reply, "", data(call, 2, 200<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := wire.Credit{Peer: (256+200)<<10 + 128 + 4}.Append(nil) // what a frame costs, and the tag and length of its record
		for _, m := range h.kept() {
			if bytes.Contains(m.Data, want) {
				return
			}
		}
		t.Errorf("%d messages came, none with %x", len(h.kept()), want)
	})
}

func TestAClientPutsValuesOf256MiBTogetherAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		client := serveGood(t, net)
		serveBad(t, net, func(call uint64) [][]byte {
			return [][]byte{packet(1, accept(call), wire.First{Call: call, Seq: 1, Total: bus.MaxValue}.Append(nil))}
		})
		ctx, cancel := context.WithCancel(t.Context())
		ends := make(chan error, 5)
		for range cap(ends) {
			go func() {
				_, err := client.Call(ctx, bad(bus.Unary))
				ends <- err
			}()
		}
		synctest.Wait()
		if len(ends) != 1 {
			t.Errorf("%d calls ended, want the one that there is no room for", len(ends))
		}
		cancel()
		tooLarge := 0
		for range cap(ends) {
			if err := <-ends; errors.Is(err, bus.TooLarge) {
				tooLarge++
			}
		}
		if tooLarge != 1 {
			t.Errorf("there was no room for %d, want 1", tooLarge)
		}
	})
}

func TestAnAnswerIsThatOfTheCallItNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		client := serveGood(t, net)
		h := newHostile(t, net, "_D.c.hostile")
		send := func(reply string, p []byte) {
			if err := h.conn.Publish(reply, "_D.c.hostile.token.1", p); err != nil {
				t.Error(err)
			}
		}
		before := uint64(0)
		h.subscribe(t, "bad.v1", func(m transport.Msg) {
			call, _ := wire.Number(m.Data)
			answer := func(call uint64, text string) []byte {
				return wire.First{Call: call, Seq: 1, Data: []byte(text)}.Append(nil)
			}
			if before == 0 {
				before = call
				send(m.Reply, packet(1, accept(call)))
				return
			}
			send(m.Reply, packet(2, accept(call), answer(before, "one"), answer(call, "two")))
		})
		call := func() <-chan string {
			got := make(chan string, 1)
			go func() {
				r, err := client.Call(t.Context(), bus.Call{Description: bus.Description{Name: "bad", Version: 1, Kind: bus.Unary}})
				if err != nil {
					t.Error(err)
				}
				got <- string(r.First)
			}()
			synctest.Wait()
			return got
		}
		if one, two := call(), call(); <-one != "one" || <-two != "two" {
			t.Error("each has the other's answer, or none")
		}
	})
}

// What another responder makes of a request to go on with a stream is no reason to
// go on.
func TestAStreamGoesOnOnlyWhereItWas(t *testing.T) {
	for name, first := range map[string]wire.First{
		"it begins anew":   {Seq: 1, Epoch: "e", Position: 5, Data: []byte("2")},
		"another source":   {Seq: 1, Epoch: "f", Position: 5, Resumed: true},
		"another position": {Seq: 1, Epoch: "e", Position: 6, Resumed: true},
		"no source at all": {Seq: 1, Resumed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { goesOnAt(t, first) })
		})
	}
}

// goesOnAt breaks a stream at position 5 of source e, has first answer the request
// to go on, and wants it lost.
func goesOnAt(t *testing.T, next wire.First) {
	net := transport.NewNet(1)
	client := serveGood(t, net)
	h := newHostile(t, net, "_D.c.hostile")
	answer := func(first wire.First, seq uint64) func(transport.Msg) {
		return func(m transport.Msg) {
			first.Call, _ = wire.Number(m.Data)
			for _, p := range [][]byte{packet(1, accept(first.Call), first.Append(nil)), data(first.Call, seq, 5)} {
				if err := h.conn.Publish(m.Reply, "_D.c.hostile.token.1", p); err != nil {
					t.Error(err)
				}
			}
		}
	}
	asked := make(chan struct{}, 10)
	h.subscribe(t, "bad.v1", answer(wire.First{Seq: 1, Epoch: "e", Position: 5, Data: []byte("1")}, 3)) // where 2 is missing
	h.subscribe(t, "_D.i.hostile.bad.v1", func(m transport.Msg) {
		asked <- struct{}{}
		answer(next, 2)(m)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := client.Call(bus.WithResume(ctx, bus.Resume{}), bus.Call{Description: bus.Description{Name: "bad", Version: 1, Kind: bus.State}})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range r.Updates {
		if err == nil {
			t.Error("an update came")
			break
		}
		last = err
	}
	if len(asked) == 0 || !errors.Is(last, bus.Lost) || !strings.Contains(last.Error(), "does not go on where the stream was") {
		t.Errorf("it was asked %d times to go on, and the stream ended with %v", len(asked), last)
	}
}

// The id of an instance becomes a part of subjects: where a stream is taken up, or
// when the program calls it again. NATS's own commands are lines.
func TestAnInstanceWhoseIDIsNoTokenIsNotSpokenTo(t *testing.T) {
	for _, id := range []string{"a b", "a\tb", "a\r\nPUB elsewhere 0\r\n\r\n", "a.b", "*", ">", "a\x00"} {
		synctest.Test(t, func(t *testing.T) {
			net := transport.NewNet(1)
			client := serveGood(t, net)
			var asked []string
			net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
				if strings.HasPrefix(m.Subject, "_D.i.") {
					asked = append(asked, m.Subject)
				}
				return []transport.Msg{m}
			})
			serveBad(t, net, func(call uint64) [][]byte {
				accept := wire.Accept{Call: call, Protocol: 1, Instance: id, Session: 7}.Append(nil)
				return [][]byte{
					packet(1, accept, wire.First{Call: call, Seq: 1, Epoch: "e", Position: 5, Data: []byte("1")}.Append(nil)),
					wire.Data{Call: call, Seq: 3, Before: 8, Last: 9, Elements: elements(1)}.Append(nil),
				}
			})
			ctx, cancel := context.WithTimeout(bus.WithResume(t.Context(), bus.Resume{}), time.Minute)
			defer cancel()
			r, err := client.Call(ctx, bad(bus.State))
			if err == nil {
				for _, err = range r.Updates {
				}
			}
			if len(asked) > 0 || err == nil || client.Dropped()["malformed message"] == 0 {
				t.Errorf("%q: asked at %q, %v; dropped: %v", id, asked, err, client.Dropped())
			}
		})
	}
}
