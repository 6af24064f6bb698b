// SPDX-License-Identifier: Apache-2.0

//go:build !race

package wire_test

import (
	"fmt"
	"testing"

	"github.com/durabus/durabus/internal/wire"
)

// The race detector makes pools forget, so this test is not for it.
func TestNoElementAllocatesInASteadyStream(t *testing.T) {
	for _, size := range []int{0, 16, 128, 1024, 40 << 10, 100 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var b wire.Batch
			data := make([]byte, size)
			encode := appending(data)
			packet := func() {
				for b.Size() < 16<<10 && b.Count() < 100 {
					if err := b.Append(encode); err != nil {
						t.Fatal(err)
					}
				}
				b.AppendBytes(data)
				b.Packet(wire.Data{Call: 7, Seq: 3})
				b.Reset()
			}
			packet() // grows the buffer
			if n := testing.AllocsPerRun(50, packet); n > 0 {
				t.Errorf("%v allocations a packet", n)
			}
		})
	}
}
