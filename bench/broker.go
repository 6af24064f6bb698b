// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// listenBroker runs a broker in this process, at the place given if there is one.
// For comparisons it buffers more for a client than nats-server's default: raw
// NATS knows no flow control and would be cut off.
func listenBroker(at place, settings string) (place, error) {
	port := server.RANDOM_PORT
	if u, err := url.Parse(at.Broker); err == nil && u.Port() != "" {
		port, _ = strconv.Atoi(u.Port())
	}
	options := &server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true, MaxConn: 1 << 16}
	switch settings {
	case "":
		options.MaxPending, options.WriteDeadline = 4<<30, time.Minute
	case "documented": // who does not read is cut soon, and holds nobody up before
		options.WriteDeadline, options.NoFastProducerStall = 2*time.Second, true
	}
	s, err := server.NewServer(options)
	if err != nil {
		return at, err
	}
	go s.Start()
	for began := time.Now(); s.Addr() == nil; time.Sleep(200 * time.Microsecond) { // it listens
		if time.Since(began) > 10*time.Second {
			return at, errors.New("the broker does not start")
		}
	}
	at.Broker = s.ClientURL()
	return at, nil
}
