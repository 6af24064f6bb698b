// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// answers returns the calls that were answered, in order, and the errors of
// those that were not.
func (r *raid) answers() (answered []uint64, refused map[uint64]*wire.Error) {
	refused = map[uint64]*wire.Error{}
	for _, m := range r.kept() {
		for rest := m.Data; ; {
			kind, body, next, err := wire.Next(rest)
			if kind == 0 || err != nil {
				break
			}
			rest = next
			var first wire.First
			var end wire.End
			switch {
			case kind == wire.KindFirst && first.Parse(body) == nil:
				answered = append(answered, first.Call)
			case kind == wire.KindEnd && end.Parse(body) == nil:
				refused[end.Call] = end.Error
			}
		}
	}
	slices.Sort(answered)
	return answered, refused
}

// cut is a request whose body ends within the field after the call's id.
func cut(call uint64) []byte {
	body := []byte{0x08, 1, 0x22, 1, 'm', 0x28, byte(call), 0x30}
	return append([]byte{0x0a, byte(len(body) + 2), 0x0a, byte(len(body))}, body...)
}

func TestARequestThatIsRefusedDisturbsNoOtherOfItsMessage(t *testing.T) {
	with := func(change func(*wire.Open)) []byte {
		o := open(2, bus.Unary)
		change(&o)
		return o.Append(nil)
	}
	for name, c := range map[string]struct {
		bad  []byte
		code bus.Code // "" is silence
	}{
		"of another protocol version": {with(func(o *wire.Open) { o.Protocol = 2 }), bus.Invalid},
		"of another kind":             {with(func(o *wire.Open) { o.Kind = uint32(bus.Pipe) }), bus.Invalid},
		"of a query beyond the limit": {with(func(o *wire.Open) { o.Total = 1 << 63 }), bus.TooLarge},
		"of too much metadata": {with(func(o *wire.Open) {
			o.Metadata = map[string]string{"k": strings.Repeat("v", 16<<10)}
		}), bus.TooLarge},
		"of a query that is not of its type": {with(func(o *wire.Open) { o.Query = []byte("{") }), bus.Undecodable},
		"of no client":                       {with(func(o *wire.Open) { o.Client = "" }), bus.Undecodable},
		"cut off":                            {cut(2), bus.Undecodable},
		"of no call":                         {with(func(o *wire.Open) { o.Call = 0 }), ""},
		"that was there before":              {with(func(o *wire.Open) { o.Call = 1 }), ""},
		"that is a frame of another kind":    {wire.Cancel{Call: 1}.Append(nil), ""},
		"that is an unknown frame":           {unknownFrame(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, good := newRaid(t)
				r.ask("bad.add.v1", packet(3, open(1, bus.Unary).Append(nil), c.bad, open(3, bus.Unary).Append(nil)))
				answered, refused := r.answers()
				if !slices.Equal(answered, []uint64{1, 3}) {
					t.Errorf("calls %v were answered", answered)
				}
				switch e := refused[2]; {
				case c.code == "" && len(refused) > 0:
					t.Errorf("refused: %v", refused)
				case c.code != "" && (e == nil || e.Code != string(c.code) || e.MayHaveRun && c.code != bus.Undecodable || len(refused) > 1):
					t.Errorf("refused: %v, want call 2 alone, %q", refused, c.code)
				}
				good.undisturbed(t)
			})
		})
	}
}

func TestAMessageHoldsAsManyRequestsAsTheLimitSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, good := newRaid(t)
		var requests []byte
		for call := range uint64(70) {
			requests = open(call+1, bus.Unary).Append(requests)
		}
		r.ask("bad.add.v1", packet(70, requests))
		answered, refused := r.answers()
		if len(answered) != 64 || answered[63] != 64 || len(refused) > 0 {
			t.Errorf("answered %v, refused %v", answered, refused)
		}
		if n := r.srv.Dropped()["malformed message"]; n != 6 {
			t.Errorf("%d drops were counted", n)
		}
		good.undisturbed(t)
	})
}

func TestRequestsOfTwoClientsInOneMessageAreBothAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRaid(t)
		other := open(1, bus.Unary) // which mallory has too
		other.Client = "eve"
		r.ask("bad.add.v1", packet(3, open(1, bus.Unary).Append(nil), other.Append(nil), open(3, bus.Unary).Append(nil)))
		if answered, refused := r.answers(); !slices.Equal(answered, []uint64{1, 1, 3}) {
			t.Errorf("answered %v, refused %v", answered, refused)
		}
	})
}

func TestAHandlerThatBlocksHoldsUpNoOtherOfItsMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		serveAdd(t, net, func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				<-ctx.Done()
			}
			return n + 1, ctx.Err()
		})
		r := &raid{hostile: newHostile(t, net, "hostile"), t: t}
		var requests []byte
		for call := range uint64(9) {
			o := open(call+1, bus.Unary)
			o.Query = strconv.AppendUint(nil, call%3, 10)
			requests = o.Append(requests)
		}
		r.ask("bad.add.v1", packet(9, requests))
		if answered, _ := r.answers(); !slices.Equal(answered, []uint64{2, 3, 5, 6, 8, 9}) {
			t.Errorf("calls %v were answered", answered)
		}
	})
}

// working counts the workers of all servers. The runtime's own count of
// goroutines is inexact while others end.
func working() int {
	stacks := make([]byte, 4<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("bus.(*workers).work("))
}

func TestWorkersThatHaveNothingToDoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		serveAdd(t, net, plusOne)
		crowd(t, net.Dial(), addRPC)
		if n := working(); n < callers/2 {
			t.Fatalf("%d workers for %d calls", n, callers)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := working(); n > 0 {
			t.Errorf("%d workers are left", n)
		}
	})
}
