// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// floodSize is how many peers a flood pretends to be.
const floodSize = 30_000

// heap returns how much is in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first found in pools
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// grows runs f and wants it to leave at most limit bytes behind.
func grows(t *testing.T, limit int, f func()) {
	t.Helper()
	before := heap()
	f()
	synctest.Wait()
	by := heap() - before
	t.Logf("%.1f MiB are kept, at most %.0f are allowed", float64(by)/(1<<20), float64(limit)/(1<<20))
	if by > limit {
		t.Errorf("%d bytes are kept, at most %d are allowed", by, limit)
	}
}

// A pest has the address of a client that has called it.
type pest struct {
	*hostile
	t      *testing.T
	client *bus.Client
	reply  string
	last   uint64 // number of the call
}

func newPest(t *testing.T) (*pest, *bystander) {
	net := transport.NewNet(1)
	p := &pest{t: t, client: serveGood(t, net)}
	good := watch(t, p.client)
	p.hostile = newHostile(t, net, "_D.c.hostile")
	p.subscribe(t, "bad.v1", func(m transport.Msg) {
		p.reply = m.Reply
		p.last, _ = wire.Number(m.Data)
		if err := p.conn.Publish(m.Reply, "_D.c.hostile.token.1", packet(1, accept(p.last), first(p.last))); err != nil {
			t.Error(err)
		}
	})
	call := bus.Call{Description: bus.Description{Name: "bad", Version: 1, Kind: bus.Unary}}
	if _, err := p.client.Call(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	stop, err := p.client.Hear("bad", func(bus.Announcement) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	synctest.Wait()
	return p, good
}

func (p *pest) send(packet []byte) { p.publish(p.reply, "_D.c.hostile.token.1", packet) }

func (p *pest) publish(subject, reply string, packet []byte) {
	if err := p.conn.Publish(subject, reply, packet); err != nil {
		p.t.Error(err)
	}
	synctest.Wait() // or the network holds it all
	p.forget()
}

// flood sends frames of as many instances, 500 in a message.
func (p *pest) flood(frame func(instance string, n uint64) []byte) {
	for n := 0; n < floodSize; {
		var frames [][]byte
		for range 500 {
			frames = append(frames, frame(fmt.Sprintf("%0128d", n), uint64(n)))
			n++
		}
		p.send(packet(uint64(n), frames...))
	}
}

func manyVersions(n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = uint32(i + 1)
	}
	return all
}

var pests = []struct {
	name  string
	limit int    // bytes
	drop  string // reason in Client.Dropped; "" is none
	run   func(*pest)
}{
	{"accepts of instances that were not asked", 4 << 20, "messages for an inbox beyond its limits", func(p *pest) {
		p.flood(func(instance string, _ uint64) []byte {
			return wire.Accept{Call: p.last, Protocol: 1, Instance: instance, Session: 7}.Append(nil)
		})
	}},
	{"accepts of calls that were never made", 1 << 20, "frame of a call that has ended", func(p *pest) {
		p.flood(func(_ string, n uint64) []byte { return accept(p.last + 1000 + n) })
	}},
	{"heartbeats of strangers", 4 << 20, "messages for an inbox beyond its limits", func(p *pest) {
		p.flood(func(instance string, n uint64) []byte {
			return wire.Beat{From: instance, Calls: []wire.BeatCall{{Call: n + 1<<30, Number: 1}}}.Append(nil)
		})
	}},
	{"heartbeats with long lists", 1 << 20, "malformed message", func(p *pest) {
		beat := wire.Beat{From: "hostile", Calls: make([]wire.BeatCall, 50_000)}
		for i := range beat.Calls {
			beat.Calls[i] = wire.BeatCall{Call: uint64(i) + 1<<30}
		}
		for range 20 {
			p.send(packet(9, beat.Append(nil)))
		}
	}},
	{"instances with long names", 4 << 20, "malformed message", func(p *pest) {
		for n := range 200 {
			long := fmt.Sprintf("%0200000d", n)
			p.send(packet(9, wire.Beat{From: long, Calls: []wire.BeatCall{{Call: 1 << 30}}}.Append(nil)))
			p.send(packet(9, wire.Accept{Call: p.last, Protocol: 1, Instance: long, Session: 7}.Append(nil)))
		}
	}},
	{"announcements of strangers", 3 << 20, "", func(p *pest) {
		for n := range floodSize {
			served := wire.Served{Instance: fmt.Sprintf("%0128d", n), Versions: manyVersions(8)}
			p.publish("_D.a.bad", "", served.Append(nil))
		}
	}},
	{"announcements of many versions", 1 << 20, "malformed message", func(p *pest) {
		for n := range 200 {
			served := wire.Served{Instance: fmt.Sprint(n), Versions: manyVersions(50_000)}
			p.publish("_D.a.bad", "", served.Append(nil))
		}
	}},
	{"answers of strangers about the menu", 4 << 20, "", func(p *pest) {
		p.subscribe(p.t, "_D.m.bad.all", func(m transport.Msg) {
			for n := range floodSize {
				served := wire.Served{Instance: fmt.Sprintf("%0128d", n), Versions: manyVersions(8)}
				if err := p.conn.Publish(m.Reply, "", served.Append(nil)); err != nil {
					p.t.Error(err)
				}
			}
		})
		if got, err := p.client.Served(p.t.Context(), "bad"); len(got) != 8 || err != nil {
			p.t.Errorf("versions %v, %v", got, err)
		}
	}},
}

func TestWhatOneInstanceSendsCostsACallerNoMoreThanItsBound(t *testing.T) {
	for _, c := range pests {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, good := newPest(t)
				grows(t, c.limit, func() { c.run(p) })
				if c.drop != "" && p.client.Dropped()[c.drop] == 0 {
					t.Errorf("dropped: %v, want some %q", p.client.Dropped(), c.drop)
				}
				good.undisturbed(t)
				time.Sleep(40 * time.Second) // after which it has forgotten them
				good.undisturbed(t)
			})
		})
	}
}

func TestAQuestionEndsThoughItsAnswersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, good := newPest(t)
		p.subscribe(t, "_D.m.durabus.menu.all", func(m transport.Msg) {
			for n := range 6000 {
				served := wire.Served{Instance: fmt.Sprint(n), Versions: []uint32{1}}
				if err := p.conn.Publish(m.Reply, "", served.Append(nil)); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
		ids, err := p.client.Instances(t.Context())
		if len(ids) != 4096 || err != nil {
			t.Errorf("%d instances, %v", len(ids), err)
		}
		good.undisturbed(t)
		time.Sleep(6 * time.Second) // until the rest has been sent
	})
}

func TestAFloodOfCallersCostsAResponderNoMoreThanItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, good := newRaid(t)
		flood := func(size int, name func(n int) string) {
			for n := 0; n < size; {
				var opens [][]byte
				for range 64 {
					o := open(1, bus.Unary)
					o.Client = name(n)
					opens = append(opens, o.Append(nil))
					n++
				}
				r.ask("bad.add.v1", packet(1, opens...))
			}
			r.forget()
		}
		grows(t, 128<<20, func() { flood(70_000, func(n int) string { return fmt.Sprintf("%0128d", n) }) })
		runs := r.runs.Load()
		if runs != 1<<16-1 {
			t.Errorf("%d callers were served, want all that are remembered beside the bystander", runs)
		}
		good.undisturbed(t)
		time.Sleep(2 * time.Second)
		flood(64, func(n int) string { return fmt.Sprintf("late-%d", n) })
		if n := r.runs.Load() - runs; n != 64 {
			t.Errorf("of 64 callers that came after those had gone quiet %d were served", n)
		}
		good.undisturbed(t)
	})
}

func TestACallerWithALongNameIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, good := newRaid(t)
		o := open(1, bus.Unary)
		o.Client = strings.Repeat("x", 129)
		r.refused("bad.add.v1", packet(1, o.Append(nil)), bus.Undecodable, "129 bytes")
		good.undisturbed(t)
	})
}
