// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"time"
)

// measureRecovery kills the broker, has another take its place at once, and takes
// the times from the kill to the first news that each follower has after it.
func (t *trial) measureRecovery() (metrics, error) {
	if err := t.followed(); err != nil {
		return nil, err
	}
	standby, err := start(t.ctx, "broker", t.oneCore)
	if err != nil {
		return nil, err
	}
	defer func() { _ = standby.kill() }()                       // before or as part of end
	if _, err := standby.do(request{Do: "usage"}); err != nil { // it has started
		return nil, err
	}
	killed := time.Now()
	if err := t.broker.kill(); err != nil {
		return nil, err
	}
	if _, err := standby.do(request{Do: "listen", At: t.at, Load: t.load}); err != nil {
		return nil, err
	}
	back := time.Now()
	t.broker = standby
	s, err := t.run(t.client, load{Count: 1})
	if err != nil {
		return nil, err
	}
	if len(s.Times) == 0 {
		return nil, errors.New("nobody followed")
	}
	millis := func(at int64) float64 { return float64(at-killed.UnixNano()) / 1e6 }
	return metrics{
		"away": float64(back.Sub(killed).Microseconds()) / 1e3, "tried": s.N,
		"first": millis(slices.Min(s.Times)), "last": millis(slices.Max(s.Times)),
	}, nil
}

// followed returns when all followers have what they follow.
func (t *trial) followed() error {
	if _, err := t.run(t.client, load{}); err != nil {
		return err
	}
	if err := t.wait(300 * time.Millisecond); err != nil {
		return err
	}
	_, err := t.run(t.client, load{}) // forgets the attempts of before
	return err
}

// measureOutage leaves the broker away and counts what the clients try.
func (t *trial) measureOutage() (metrics, error) {
	if err := t.followed(); err != nil {
		return nil, err
	}
	if err := t.broker.kill(); err != nil {
		return nil, err
	}
	if err := t.wait(30 * time.Second); err != nil {
		return nil, err
	}
	s, err := t.run(t.client, load{})
	return metrics{"tried": s.N}, err
}

// needsBroker reports whether a system speaks through NATS.
func needsBroker(s system) bool {
	switch s.(type) {
	case grpcSystem, drpcSystem:
		return false
	}
	return true
}
