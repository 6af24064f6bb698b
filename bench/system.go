// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"

	"github.com/durabus/durabus/bench/benchpb"
)

// A system is one way to make calls between processes. It implements those of
// the interfaces below whose shapes it can do.
type system any

// systems are the rivals, by the names that they have in the report. An
// initializer would be a cycle.
var systems map[string]system

func init() {
	systems = map[string]system{
		"durabus":           durabus{},
		"durabus-bytes":     durabusBytes{},
		"durabus-convert":   durabus{convert: true},
		"durabus-durable":   durabus{durable: true},
		"durabus-layers":    durabus{convert: true, durable: true},
		"durabus-publisher": durabusPublisher{},
		"raw":               raw{},
		"raw-default":       raw{stock: true},
		"raw-shared":        rawShared{},
		"packed":            packed{},
		"packed-bytes":      packed{bare: true},
		"micro":             microService{},
		"grpc":              grpcSystem{},
		"grpc-tuned":        grpcSystem{tuned: true},
		"drpc":              drpcSystem{},
		"psrpc":             psrpcSystem{},
	}
}

// A unarySystem calls a server that answers with what it is sent.
type unarySystem interface {
	serveUnary(place) (place, error)
	dialUnary(place) (unaryCall, error)
}

// A unaryCall may be made concurrently.
type unaryCall func(context.Context, *benchpb.Value) (*benchpb.Value, error)

// A streamSystem opens streams of the values that are asked for.
type streamSystem interface {
	serveStream(place) (place, error)
	dialStream(at place, conns int) (streamCall, error)
}

// A streamCall calls got with the data of each value, and returns at the end.
type streamCall func(ctx context.Context, ask *benchpb.Ask, got func(data []byte)) error

// A fanoutSystem publishes one sequence of updates to all watchers.
type fanoutSystem interface {
	// serveFanout returns a function that publishes, which may wait and may keep
	// what it is given.
	serveFanout(place) (place, func(*benchpb.Value), error)
	// dialFanout returns a function that watches over one of conns connections,
	// calls got with the data of each update, and returns when ctx is done.
	dialFanout(at place, conns int) (watchCall, error)
}

type watchCall func(ctx context.Context, conn int, got func(data []byte)) error

// A snapshotSystem transfers one large value.
type snapshotSystem interface {
	serveSnapshot(at place, size int) (place, error)
	dialSnapshot(place) (func(context.Context) ([]byte, error), error)
}

// An idleSystem keeps streams open on which nothing happens.
type idleSystem interface {
	serveIdle(place) (place, error)
	// dialIdle returns a function that opens one stream, on one of conns
	// connections, that stays open as long as what it returns is reachable. Nobody
	// reads it yet.
	dialIdle(at place, conns int) (func(conn int) (any, error), error)
}

// A recoverySystem follows a state over an outage of the broker.
type recoverySystem interface {
	// serveRecovery publishes a state of l.Size bytes, and an update every l.Gap if
	// that is not zero.
	serveRecovery(at place, l load) error
	// dialRecovery follows the state, states times, over a connection of its own,
	// each attempt to make which it tells tried.
	dialRecovery(at place, states int, tried func(), newFollower func() follower) error
}

// A follower is told that a state is current: with the first news, and with
// each later one. The first after a loss has recovered it.
type follower func(recovered bool)

// can reports whether s can do the workloads of a shape.
func can(s system, shape string) (ok bool) {
	switch shape {
	case "unary":
		_, ok = s.(unarySystem)
	case "stream", "sparse":
		_, ok = s.(streamSystem)
	case "fanout":
		_, ok = s.(fanoutSystem)
	case "snapshot":
		_, ok = s.(snapshotSystem)
	case "idle":
		_, ok = s.(idleSystem)
	case "recovery", "outage":
		_, ok = s.(recoverySystem)
	}
	return ok
}

// listen opens a free port on the loopback interface.
func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// dialAll makes n connections.
func dialAll[C any](n int, dial func() (C, error)) ([]C, error) {
	all := make([]C, 0, max(n, 1))
	for range max(n, 1) {
		c, err := dial()
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	return all, nil
}
