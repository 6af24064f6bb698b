// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/internal/wire/wirepb"
)

// One operation is one element, in packets of about 16 KiB.
func BenchmarkBatch(b *testing.B) {
	for _, size := range []int{16, 128, 1024} {
		data := make([]byte, size)
		encode := appending(data)
		each := func(b *testing.B, add func(*wire.Batch)) {
			var batch wire.Batch
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if batch.Size() >= 16<<10 {
					batch.Packet(wire.Data{Call: 7, Seq: 1000, Last: 1 << 20})
					batch.Reset()
				}
				add(&batch)
			}
		}
		b.Run(fmt.Sprintf("append/%d", size), func(b *testing.B) {
			each(b, func(batch *wire.Batch) {
				if err := batch.Append(encode); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(fmt.Sprintf("bytes/%d", size), func(b *testing.B) {
			each(b, func(batch *wire.Batch) { batch.AppendBytes(data) })
		})
	}
}

// Lengths of one and two bytes by turns: each prediction is wrong.
func BenchmarkBatchMispredicted(b *testing.B) {
	encode := [2]func([]byte) ([]byte, error){appending(make([]byte, 100)), appending(make([]byte, 200))}
	var batch wire.Batch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if batch.Size() >= 16<<10 {
			batch.Reset()
		}
		if err := batch.Append(encode[i&1]); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is one element.
func BenchmarkReadData(b *testing.B) {
	for _, size := range []int{16, 128, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var batch wire.Batch
			for batch.Size() < 16<<10 {
				batch.AppendBytes(make([]byte, size))
			}
			packet := batch.Packet(wire.Data{Call: 7, Seq: 1000, Last: 1 << 20})
			var d wire.Data
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if len(d.Elements) == 0 {
					_, body, _, err := wire.Next(packet)
					if err != nil || d.Parse(body) != nil {
						b.Fatal(err)
					}
				}
				var err error
				if _, d.Elements, err = wire.NextElement(d.Elements); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkOpen() wire.Open {
	return wire.Open{
		Protocol: 1, Client: "0123456789abcdefghijkl", Call: 1000, Kind: 2, TimeoutUS: 1_000_000, SentUS: 86_400_000_000,
		Allow: 65536, PeerCredit: 262144, ContentType: "application/protobuf", Query: make([]byte, 100),
	}
}

func BenchmarkOpen(b *testing.B) {
	open := benchmarkOpen()
	packet := open.Append(nil)
	b.Run("append", func(b *testing.B) {
		dst := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			wire.AppendNumber(open.Append(dst), 1000)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, body, _, _ := wire.Next(packet)
			if err := open.Parse(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	// What generated code takes for the same.
	generated := new(wirepb.Packet)
	if err := proto.Unmarshal(packet, generated); err != nil {
		b.Fatal(err)
	}
	b.Run("generated append", func(b *testing.B) {
		dst := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (proto.MarshalOptions{}).MarshalAppend(dst, generated); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("generated parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := proto.Unmarshal(packet, generated); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCredit(b *testing.B) {
	dst := make([]byte, 0, 1024)
	packet := wire.Credit{Call: 1000, Total: 1 << 30, Peer: 1 << 33}.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		wire.Credit{Call: 1000, Total: 1 << 30, Peer: 1 << 33}.Append(dst)
		var c wire.Credit
		_, body, _, _ := wire.Next(packet)
		if err := c.Parse(body); err != nil {
			b.Fatal(err)
		}
	}
}
