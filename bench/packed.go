// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/durabus/durabus/bench/benchpb"
)

// packed is the most that NATS allows: values written one after the other into
// messages of 32 KiB by hand, without flow control, calls or deadlines.
type packed struct {
	bare bool // data alone, as the bytes codec has it
}

const packedSize = 32 << 10

func (p packed) serveStream(at place) (place, error) {
	return at, serveRaw(at, p.send)
}

func (p packed) send(nc *nats.Conn, ask *benchpb.Ask, reply string) error {
	buf := make([]byte, 0, packedSize)
	var err error
	for v := range values(context.Background(), ask) {
		if buf, err = p.append(buf, v); err != nil {
			return err
		}
		if len(buf) < packedSize-int(ask.Size)-2*binary.MaxVarintLen32 {
			continue
		}
		if err = nc.Publish(reply, buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	if len(buf) == 0 {
		return nil
	}
	return nc.Publish(reply, buf)
}

// append writes the length of a value, in 4 bytes, and the value.
func (p packed) append(buf []byte, v *benchpb.Value) (_ []byte, err error) {
	at := len(buf)
	buf = append(buf, 0, 0, 0, 0)
	if p.bare {
		buf = append(buf, v.Data...)
	} else if buf, err = (proto.MarshalOptions{}).MarshalAppend(buf, v); err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(buf[at:], uint32(len(buf)-at-4))
	return buf, nil
}

func (p packed) dialStream(at place, _ int) (streamCall, error) { return dialRaw(at, p.unpack) }

func (p packed) unpack(data []byte, got func([]byte)) error {
	for len(data) > 0 {
		if len(data) < 4 {
			return errors.New("half a length")
		}
		n := int(binary.LittleEndian.Uint32(data))
		data = data[4:]
		if len(data) < n {
			return errors.New("half a value")
		}
		if p.bare {
			got(data[:n])
		} else {
			v := new(benchpb.Value)
			if err := proto.Unmarshal(data[:n], v); err != nil {
				return err
			}
			got(v.Data)
		}
		data = data[n:]
	}
	return nil
}
