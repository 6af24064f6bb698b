// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/piperpc"
)

// A spring is a bus on which every request is answered by a stream of as many
// equal updates as the next reader wants, as fast as its credit allows.
type spring struct {
	transport.Conn
	element []byte
	updates int
	inbox   func(transport.Msg)
	granted atomic.Uint64
	more    chan struct{} // told of credit
	wg      sync.WaitGroup
}

func (s *spring) Subscribe(subject, queue string, f func(transport.Msg)) (transport.Subscription, error) {
	s.inbox = f
	return s.Conn.Subscribe(subject, queue, f)
}

func (s *spring) Publish(_, reply string, data []byte) error {
	for rest := data; ; {
		kind, body, next, err := wire.Next(rest)
		if err != nil || kind == 0 {
			return err
		}
		rest = next
		switch kind {
		case wire.KindOpen:
			var o wire.Open
			if err := o.Parse(body); err != nil {
				return err
			}
			s.granted.Store(o.Credit)
			s.wg.Go(func() { s.flow(o.Call, reply, s.updates) })
		case wire.KindCredit:
			var c wire.Credit
			if err := c.Parse(body); err != nil {
				return err
			}
			if c.Call != 0 {
				s.granted.Store(c.Total)
			}
			select {
			case s.more <- struct{}{}:
			default:
			}
		}
	}
}

// flow sends a stream of n updates.
func (s *spring) flow(call uint64, subject string, n int) {
	head := wire.Accept{Call: call, Protocol: 1, Instance: "spring", Session: 1}.Append(nil)
	head = wire.First{Call: call, Seq: 1}.Append(head)
	s.inbox(transport.Msg{Subject: subject, Reply: "_D.c.spring.1.1", Data: wire.AppendNumber(head, 1)})
	var batch wire.Batch
	for used, seq, left := uint64(0), uint64(2), n; ; seq++ {
		for batch.Size() < 16<<10 && left > 0 {
			batch.AppendBytes(s.element)
			left--
		}
		if batch.Count() == 0 {
			s.inbox(transport.Msg{Subject: subject, Data: wire.End{Call: call, Seq: seq, Count: uint64(n)}.Append(nil)})
			return
		}
		for used += flow.Cost(batch.Size()); used > s.granted.Load(); {
			<-s.more
		}
		s.inbox(transport.Msg{Subject: subject, Data: slices.Clone(batch.Packet(wire.Data{Call: call, Seq: seq}))})
		batch.Reset()
	}
}

// BenchmarkRead tells what an update costs the caller: from a message on its
// inbox, which comes at the cost of a copy, through all layers into the body of
// its loop. «codec» is what the decoding alone costs.
func BenchmarkRead(b *testing.B) {
	benchRead(b, "bytes", make([]byte, 16))
	benchRead(b, "proto", wrapperspb.Bytes(make([]byte, 16)))
}

func benchRead[U any](b *testing.B, name string, value U) {
	codec := bus.CodecFor[U](nil)
	element, err := codec.Append(nil, &value)
	if err != nil {
		b.Fatal(err)
	}
	b.Run(name+"/codec", func(b *testing.B) {
		b.ReportAllocs()
		var u U
		for b.Loop() {
			if err := codec.DecodeTo(&u, element); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/durabus", func(b *testing.B) {
		s := &spring{Conn: transport.NewNet(1).Dial(), element: element, more: make(chan struct{}, 1)}
		client := bus.NewClientOn(s, bus.ClientOptions{})
		b.Cleanup(func() {
			s.wg.Wait()
			_ = client.Close()
		})
		open := piperpc.RPC[[]byte, U]{Name: "read", Version: 1}.Client(client)
		read(b, s, open, 1<<17) // the window grows
		b.ReportAllocs()
		b.ResetTimer()
		read(b, s, open, b.N)
	})
}

func read[U any](b *testing.B, s *spring, open piperpc.Func[[]byte, U], n int) {
	s.updates = n
	updates, err := open(context.Background(), nil)
	if err != nil {
		b.Fatal(err)
	}
	got := 0
	for _, err := range updates {
		if err != nil {
			b.Fatal(err)
		}
		got++
	}
	if got != n {
		b.Fatalf("%d updates of %d arrived", got, n)
	}
}
