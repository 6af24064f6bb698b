// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// reload has a broker read its configuration anew.
func (n *node) reload() error {
	if err := n.write(); err != nil {
		return err
	}
	if err := n.process.signal(syscall.SIGHUP); err != nil {
		return err
	}
	return n.await("Reloaded server configuration")
}

// refuse takes a right of alice's away, where she is connected, and gives it back.
func refuse(f *fleet, _ *rand.Rand, hold time.Duration) (string, error) {
	n := f.nodes[1]
	n.refused = "market.price.v1"
	if err := n.reload(); err != nil {
		return "", err
	}
	holdFor(hold)
	n.refused = ""
	return fmt.Sprintf("alice may not publish to market.price.v1, for %v", hold), n.reload()
}

// lowerPayload lowers what every broker takes to what the documentation asks for.
func lowerPayload(f *fleet, _ *rand.Rand, hold time.Duration) (string, error) {
	return fmt.Sprintf("all, for %v", hold), f.limitPayload(f.nodes, 256<<10, hold)
}

// lowerPayloadMuch lowers what a broker takes to less than what it is sent.
func lowerPayloadMuch(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	n := f.nodes[r.IntN(len(f.nodes))]
	return fmt.Sprintf("%s, for %v", n.name, hold), f.limitPayload([]*node{n}, 16<<10, hold)
}

// limitPayload has brokers take smaller messages for a while.
func (f *fleet) limitPayload(nodes []*node, most int, hold time.Duration) error {
	for _, step := range []struct {
		most int
		hold time.Duration
	}{{most, hold}, {1 << 20, 0}} {
		for _, n := range nodes {
			n.maxPayload = step.most
			if err := n.reload(); err != nil {
				return err
			}
		}
		holdFor(step.hold)
	}
	return nil
}
