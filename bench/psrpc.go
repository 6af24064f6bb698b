// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/livekit/psrpc"
	"github.com/livekit/psrpc/pkg/client"
	"github.com/livekit/psrpc/pkg/info"
	"github.com/livekit/psrpc/pkg/rand"
	"github.com/livekit/psrpc/pkg/server"

	"github.com/durabus/durabus/bench/benchpb"
)

// psrpcSystem is psrpc over NATS. Its service is described as generated code
// describes it; each value of a stream waits for the acknowledgement of the one
// before it.
type psrpcSystem struct{}

func psrpcService() *info.ServiceDefinition {
	d := &info.ServiceDefinition{Name: "Bench", ID: rand.NewServerID()}
	d.RegisterMethod("Echo", false, false, false, true) // any of a queue group, unclaimed
	d.RegisterMethod("Open", false, false, true, true)
	return d
}

func (psrpcSystem) serve(at place) (*server.RPCServer, error) {
	nc, err := connect(at)
	if err != nil {
		return nil, err
	}
	return server.NewRPCServer(psrpcService(), psrpc.NewNatsMessageBus(nc)), nil
}

func (psrpcSystem) dial(at place) (*client.RPCClient, error) {
	nc, err := connect(at)
	if err != nil {
		return nil, err
	}
	return client.NewRPCClientWithStreams(psrpcService(), psrpc.NewNatsMessageBus(nc),
		psrpc.WithClientChannelSize(1<<14), psrpc.WithClientTimeout(patience))
}

func (p psrpcSystem) serveUnary(at place) (place, error) {
	s, err := p.serve(at)
	if err != nil {
		return at, err
	}
	echo := func(_ context.Context, v *benchpb.Value) (*benchpb.Value, error) { return v, nil }
	return at, server.RegisterHandler(s, "Echo", nil, echo, nil)
}

func (p psrpcSystem) dialUnary(at place) (unaryCall, error) {
	c, err := p.dial(at)
	return func(ctx context.Context, v *benchpb.Value) (*benchpb.Value, error) {
		return client.RequestSingle[*benchpb.Value](ctx, c, "Echo", nil, v)
	}, err
}

func (p psrpcSystem) serveStream(at place) (place, error) {
	s, err := p.serve(at)
	if err != nil {
		return at, err
	}
	return at, server.RegisterStreamHandler(s, "Open", nil, func(stream psrpc.ServerStream[*benchpb.Value, *benchpb.Ask]) error {
		ask, ok := <-stream.Channel()
		if !ok {
			return stream.Err()
		}
		for v := range values(stream.Context(), ask) {
			if err := stream.Send(v); err != nil {
				return err
			}
		}
		return stream.Close(nil)
	}, nil)
}

func (p psrpcSystem) dialStream(at place, _ int) (streamCall, error) {
	c, err := p.dial(at)
	return func(ctx context.Context, ask *benchpb.Ask, got func([]byte)) error {
		stream, err := client.OpenStream[*benchpb.Ask, *benchpb.Value](ctx, c, "Open", nil)
		if err != nil {
			return err
		}
		if err := stream.Send(ask); err != nil {
			return err
		}
		for v := range stream.Channel() {
			got(v.Data)
		}
		return ctx.Err()
	}, err
}
