// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"sync"

	"google.golang.org/protobuf/proto"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcserver"

	"github.com/durabus/durabus/bench/benchpb"
)

// drpcSystem is drpc with its defaults. A connection carries one call at a time,
// so that concurrent ones wait for each other and watchers need a connection each.
type drpcSystem struct{}

// A drpcHandler serves streams itself, as the generated code of a service does.
type drpcHandler func(drpc.Stream) error

func (h drpcHandler) HandleRPC(stream drpc.Stream, _ string) error { return h(stream) }

// protobufs encode as drpc's generated code does.
type protobufs struct{}

func (protobufs) Marshal(m drpc.Message) ([]byte, error) { return proto.Marshal(m.(proto.Message)) }

func (protobufs) MarshalAppend(buf []byte, m drpc.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(buf, m.(proto.Message))
}

func (protobufs) Unmarshal(data []byte, m drpc.Message) error {
	return proto.Unmarshal(data, m.(proto.Message))
}

func serveDRPC(at place, handle drpcHandler) (place, error) {
	l, err := listen()
	if err != nil {
		return at, err
	}
	s := drpcserver.New(handle)
	go func() { _ = s.Serve(context.Background(), l) }() // as long as the process lives
	at.Server = l.Addr().String()
	return at, nil
}

func dialDRPC(at place) (*drpcconn.Conn, error) {
	c, err := net.Dial("tcp", at.Server)
	return drpcconn.New(c), err
}

func (drpcSystem) serveUnary(at place) (place, error) {
	return serveDRPC(at, func(stream drpc.Stream) error {
		v := new(benchpb.Value)
		if err := stream.MsgRecv(v, protobufs{}); err != nil {
			return err
		}
		if err := stream.MsgSend(v, protobufs{}); err != nil {
			return err
		}
		return stream.CloseSend()
	})
}

func (drpcSystem) dialUnary(at place) (unaryCall, error) {
	c, err := dialDRPC(at)
	return func(ctx context.Context, v *benchpb.Value) (*benchpb.Value, error) {
		answer := new(benchpb.Value)
		return answer, c.Invoke(ctx, "echo", protobufs{}, v, answer)
	}, err
}

func serveDRPCStreams(at place, handle func(*benchpb.Ask, drpc.Stream) error) (place, error) {
	return serveDRPC(at, func(stream drpc.Stream) error {
		ask := new(benchpb.Ask)
		if err := stream.MsgRecv(ask, protobufs{}); err != nil {
			return err
		}
		if err := handle(ask, stream); err != nil {
			return err
		}
		return stream.CloseSend()
	})
}

func openDRPC(ctx context.Context, c *drpcconn.Conn, ask *benchpb.Ask) (drpc.Stream, error) {
	stream, err := c.NewStream(ctx, "open", protobufs{})
	if err != nil {
		return nil, err
	}
	if err := stream.MsgSend(ask, protobufs{}); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}

func (drpcSystem) serveStream(at place) (place, error) {
	return serveDRPCStreams(at, func(ask *benchpb.Ask, stream drpc.Stream) error {
		for v := range values(stream.Context(), ask) {
			if err := stream.MsgSend(v, protobufs{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// dialStream keeps the connections of streams that have ended for the next.
func (drpcSystem) dialStream(at place, _ int) (streamCall, error) {
	var mu sync.Mutex
	var free []*drpcconn.Conn
	take := func() (*drpcconn.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if n := len(free); n > 0 {
			c := free[n-1]
			free = free[:n-1]
			return c, nil
		}
		return dialDRPC(at)
	}
	return func(ctx context.Context, ask *benchpb.Ask, got func([]byte)) error {
		c, err := take()
		if err != nil {
			return err
		}
		if err := readDRPC(ctx, c, ask, got); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		free = append(free, c)
		return nil
	}, nil
}

func readDRPC(ctx context.Context, c *drpcconn.Conn, ask *benchpb.Ask, got func([]byte)) error {
	stream, err := openDRPC(ctx, c, ask)
	if err != nil {
		return err
	}
	receive := func(m any) error { return stream.MsgRecv(m, protobufs{}) }
	if err := receiveAll(receive, got); err != nil {
		return err
	}
	return stream.Close()
}

func (drpcSystem) serveFanout(at place) (place, func(*benchpb.Value), error) {
	var w watchers
	at, err := serveDRPCStreams(at, func(_ *benchpb.Ask, stream drpc.Stream) error {
		return w.watch(stream.Context(), func(v *benchpb.Value) error { return stream.MsgSend(v, protobufs{}) })
	})
	return at, w.publish, err
}

// dialFanout cannot keep to the number of connections.
func (drpcSystem) dialFanout(at place, _ int) (watchCall, error) {
	return func(ctx context.Context, _ int, got func([]byte)) error {
		c, err := dialDRPC(at)
		if err != nil {
			return err
		}
		return readDRPC(ctx, c, &benchpb.Ask{}, got)
	}, nil
}

func (drpcSystem) serveIdle(at place) (place, error) {
	return serveDRPCStreams(at, func(_ *benchpb.Ask, stream drpc.Stream) error {
		if err := stream.MsgSend(&benchpb.Value{}, protobufs{}); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	})
}

func (drpcSystem) dialIdle(at place, _ int) (func(int) (any, error), error) {
	return func(int) (any, error) {
		c, err := dialDRPC(at)
		if err != nil {
			return nil, err
		}
		stream, err := openDRPC(context.Background(), c, &benchpb.Ask{})
		if err != nil {
			return nil, err
		}
		return stream, stream.MsgRecv(new(benchpb.Value), protobufs{}) // the server has it
	}, nil
}
