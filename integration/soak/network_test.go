// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// linkNames are who is behind the links of a fleet.
var linkNames = []string{"responder 1", "caller 1", "caller 4", "the leaf node"}

// link chooses one.
func (f *fleet) link(r *rand.Rand) (*broker.Proxy, string) {
	i := r.IntN(len(f.links))
	return f.links[i], linkNames[i]
}

// direction chooses one, or both.
func direction(r *rand.Rand) broker.Direction {
	return []broker.Direction{broker.ToServer, broker.ToClient, broker.Both}[r.IntN(3)]
}

func resetLink(f *fleet, r *rand.Rand, _ time.Duration) (string, error) {
	link, name := f.link(r)
	link.Cut()
	return name, nil
}

func partitionLink(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	link, name := f.link(r)
	d := direction(r)
	link.Partition(d)
	holdFor(hold)
	link.Heal()
	return fmt.Sprintf("%s, %v, for %v", name, d, hold), nil
}

func freezeLink(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	link, name := f.link(r)
	d := direction(r)
	link.Freeze(d)
	holdFor(hold)
	link.Heal()
	return fmt.Sprintf("%s, %v, for %v", name, d, hold), nil
}

func delayLink(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	link, name := f.link(r)
	link.Delay(50 * time.Millisecond)
	holdFor(hold)
	link.Heal()
	return fmt.Sprintf("%s, for %v", name, hold), nil
}

func limitLink(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	link, name := f.link(r)
	link.Limit(256 << 10)
	holdFor(hold)
	link.Heal()
	return fmt.Sprintf("%s, for %v", name, hold), nil
}
