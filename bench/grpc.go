// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/durabus/durabus/bench/benchpb"
)

// grpcSystem is grpc-go without TLS. Its service is described as generated code
// describes it.
type grpcSystem struct {
	tuned bool // windows and buffers that are large from the start, and shared ones
}

const (
	grpcWindow = 8 << 20
	grpcBuffer = 128 << 10
)

func (g grpcSystem) serve(at place, register func(*grpc.Server)) (place, error) {
	l, err := listen()
	if err != nil {
		return at, err
	}
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(math.MaxInt32)}
	if g.tuned {
		options = append(options, grpc.InitialWindowSize(grpcWindow), grpc.InitialConnWindowSize(grpcWindow),
			grpc.WriteBufferSize(grpcBuffer), grpc.ReadBufferSize(grpcBuffer), grpc.NumStreamWorkers(2))
	}
	s := grpc.NewServer(options...)
	register(s)
	go func() { _ = s.Serve(l) }() // as long as the process lives
	at.Server = l.Addr().String()
	return at, nil
}

func (g grpcSystem) dial(at place) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
	}
	if g.tuned {
		options = append(options, grpc.WithInitialWindowSize(grpcWindow), grpc.WithInitialConnWindowSize(grpcWindow),
			grpc.WithWriteBufferSize(grpcBuffer), grpc.WithReadBufferSize(grpcBuffer))
	}
	return grpc.NewClient("passthrough:///"+at.Server, options...)
}

const grpcService = "durabus.bench.Bench"

func (g grpcSystem) serveUnary(at place) (place, error) {
	echo := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		v := new(benchpb.Value)
		return v, decode(v)
	}
	return g.serve(at, func(s *grpc.Server) {
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: grpcService, HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: echo}},
		}, nil)
	})
}

func (g grpcSystem) dialUnary(at place) (unaryCall, error) {
	cc, err := g.dial(at)
	return func(ctx context.Context, v *benchpb.Value) (*benchpb.Value, error) {
		answer := new(benchpb.Value)
		return answer, cc.Invoke(ctx, "/"+grpcService+"/Echo", v, answer)
	}, err
}

// serveStreams serves one streaming method.
func (g grpcSystem) serveStreams(at place, handle func(*benchpb.Ask, grpc.ServerStream) error) (place, error) {
	desc := grpc.StreamDesc{StreamName: "Open", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
		ask := new(benchpb.Ask)
		if err := stream.RecvMsg(ask); err != nil {
			return err
		}
		return handle(ask, stream)
	}}
	return g.serve(at, func(s *grpc.Server) {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: grpcService, HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{desc}}, nil)
	})
}

func openGRPC(ctx context.Context, cc *grpc.ClientConn, ask *benchpb.Ask) (grpc.ClientStream, error) {
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+grpcService+"/Open")
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(ask); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}

func (g grpcSystem) serveStream(at place) (place, error) {
	return g.serveStreams(at, func(ask *benchpb.Ask, stream grpc.ServerStream) error {
		for v := range values(stream.Context(), ask) {
			if err := stream.SendMsg(v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g grpcSystem) dialStream(at place, _ int) (streamCall, error) {
	cc, err := g.dial(at)
	return func(ctx context.Context, ask *benchpb.Ask, got func([]byte)) error {
		stream, err := openGRPC(ctx, cc, ask)
		if err != nil {
			return err
		}
		return receiveAll(stream.RecvMsg, got)
	}, err
}

// receiveAll reads a stream to its end.
func receiveAll(receive func(any) error, got func([]byte)) error {
	for {
		v := new(benchpb.Value)
		if err := receive(v); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		got(v.Data)
	}
}

func (g grpcSystem) serveFanout(at place) (place, func(*benchpb.Value), error) {
	var w watchers
	at, err := g.serveStreams(at, func(_ *benchpb.Ask, stream grpc.ServerStream) error {
		return w.watch(stream.Context(), func(v *benchpb.Value) error { return stream.SendMsg(v) })
	})
	return at, w.publish, err
}

func (g grpcSystem) dialFanout(at place, conns int) (watchCall, error) {
	all, err := dialAll(conns, func() (*grpc.ClientConn, error) { return g.dial(at) })
	return func(ctx context.Context, conn int, got func([]byte)) error {
		stream, err := openGRPC(ctx, all[conn], &benchpb.Ask{})
		if err != nil {
			return err
		}
		return receiveAll(stream.RecvMsg, got)
	}, err
}

func (g grpcSystem) serveSnapshot(at place, size int) (place, error) {
	state := &benchpb.Value{Data: make([]byte, size)}
	return g.serveStreams(at, func(_ *benchpb.Ask, stream grpc.ServerStream) error { return stream.SendMsg(state) })
}

func (g grpcSystem) dialSnapshot(at place) (func(context.Context) ([]byte, error), error) {
	call, err := g.dialStream(at, 1)
	return func(ctx context.Context) (state []byte, err error) {
		err = call(ctx, &benchpb.Ask{}, func(data []byte) { state = data })
		return state, err
	}, err
}

func (g grpcSystem) serveIdle(at place) (place, error) {
	return g.serveStreams(at, func(_ *benchpb.Ask, stream grpc.ServerStream) error {
		if err := stream.SendHeader(nil); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	})
}

func (g grpcSystem) dialIdle(at place, conns int) (func(int) (any, error), error) {
	all, err := dialAll(conns, func() (*grpc.ClientConn, error) { return g.dial(at) })
	return func(conn int) (any, error) {
		stream, err := openGRPC(context.Background(), all[conn], &benchpb.Ask{})
		if err != nil {
			return nil, err
		}
		_, err = stream.Header() // the server has it
		return stream, err
	}, err
}
