// SPDX-License-Identifier: Apache-2.0

package staterpc_test

import (
	"testing"

	"github.com/durabus/durabus/staterpc"
)

// BenchmarkPublish tells what an update costs who publishes it and a watcher that
// reads it, in rounds of which the watcher has each before the next.
func BenchmarkPublish(b *testing.B) {
	const round = 128
	p := staterpc.NewPublisher(0, func(s, n int) int { return s + n }, round)
	_, updates, err := p.Watch(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		n := 0
		for range updates {
			if n++; n%round == 0 {
				read <- struct{}{}
			}
		}
		close(read)
	}()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		p.Publish(n)
		if n%round == round-1 {
			<-read
		}
	}
}
