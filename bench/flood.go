// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bench/benchpb"
	"github.com/durabus/durabus/bus"
)

// The prefixes under which two callers are served apart.
const (
	ofBystander = "for.bystander"
	ofFlooder   = "for.flooder"
)

// serveFlooded serves calls, and streams on which nothing happens, by one service
// for each prefix, on a connection of its own. The flooder's has limits.
func serveFlooded(_ system, at place, l load) (end, error) {
	for _, prefix := range l.Under {
		s := bus.Service{Prefix: prefix}
		if prefix == ofFlooder {
			s.Limit, s.Streams = l.Limit, l.Most
		}
		nc, err := connect(at)
		if err != nil {
			return end{}, err
		}
		_, err = bus.Serve(nc, s,
			echoRPC.Handler(func(_ context.Context, v value) (value, error) { return v, nil }), pipeRPC.Handler(silence))
		if err != nil {
			return end{}, err
		}
	}
	return end{at: at}, nil
}

// dialUnder is a client of the responders under a prefix.
func dialUnder(at place, l load) (*bus.Client, error) {
	nc, err := connect(at)
	if err != nil {
		return nil, err
	}
	return bus.NewClient(nc, bus.ClientOptions{Prefix: l.Under[0]}), nil
}

// dialCalls makes calls of l.Size bytes.
func dialCalls(_ system, at place, l load) (end, error) {
	c, err := dialUnder(at, l)
	if err != nil {
		return end{}, err
	}
	call := echoRPC.Client(c)
	return end{run: func(ctx context.Context, l load) (sample, error) {
		query := &benchpb.Value{Data: make([]byte, l.Size)}
		return offered(ctx, l, func(ctx context.Context) error {
			_, err := call(ctx, query)
			return err
		})
	}}, nil
}

// A flooder does one thing as fast as it can and as often at a time as it is told.
type flooder struct {
	client *bus.Client
	nc     *nats.Conn
	under  string // the prefix
	done   atomic.Int64
	busy   atomic.Int64
	failed atomic.Int64 // otherwise, which is the flooder's own affair
}

func dialFlood(_ system, at place, l load) (end, error) {
	c, err := dialUnder(at, l)
	if err != nil {
		return end{}, err
	}
	f := &flooder{client: c, under: l.Under[0]}
	if f.nc, err = connect(at); err != nil {
		return end{}, err
	}
	floods := map[string]func(context.Context, load) error{"calls": f.call, "streams": f.open, "garbage": f.garbage}
	return end{run: func(ctx context.Context, l load) (sample, error) {
		flood := floods[l.Flood]
		if flood == nil {
			return sample{}, fmt.Errorf("there is no flood of %q", l.Flood)
		}
		f.done.Store(0)
		f.busy.Store(0)
		f.failed.Store(0)
		ctx, cancel := context.WithTimeout(ctx, l.Span)
		defer cancel()
		began := time.Now()
		err := flood(ctx, l)
		if ctx.Err() != nil {
			err = nil
		}
		return sample{
			N: float64(f.done.Load()), Busy: float64(f.busy.Load()), Failed: float64(f.failed.Load()), Elapsed: time.Since(began),
		}, err
	}}, nil
}

// many has l.Callers do one thing until ctx is done.
func (f *flooder) many(ctx context.Context, l load, one func() error) error {
	var all sync.WaitGroup
	for range l.Callers {
		all.Go(func() {
			for ctx.Err() == nil {
				err := one()
				switch {
				case err == nil:
					f.done.Add(1)
				case errors.Is(err, bus.Busy): // what limits are for
					f.busy.Add(1)
				case ctx.Err() == nil:
					f.failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (f *flooder) call(ctx context.Context, l load) error {
	call := echoRPC.Client(f.client)
	query := &benchpb.Value{Data: make([]byte, l.Size)}
	return f.many(ctx, l, func() error {
		_, err := call(ctx, query)
		return err
	})
}

// open opens streams that stay open until the flood ends.
func (f *flooder) open(ctx context.Context, l load) error {
	open := pipeRPC.Client(f.client)
	return f.many(ctx, l, func() error {
		_, err := open(ctx, &benchpb.Ask{Count: 1})
		return err
	})
}

// garbage is bytes without sense, to every subject on which a service hears
// callers, with an address to answer to and without.
func (f *flooder) garbage(ctx context.Context, l load) error {
	ids, err := f.client.Instances(ctx)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return errors.New("there is nobody to flood")
	}
	data := make([]byte, l.Size)
	rand.Read(data)
	under := f.under
	if under != "" {
		under += "."
	}
	var subjects []string
	for _, id := range ids {
		subjects = append(subjects, "_D.c."+id+".none.1", "_D.i."+id+"."+under+"bench.echo.v1")
	}
	for _, subject := range []string{"bench.echo.v1", "bench.pipe.v1"} {
		subjects = append(subjects, under+subject)
	}
	for _, question := range []string{"one", "all"} {
		subjects = append(subjects, "_D.m."+under+"bench.echo."+question)
	}
	reply := f.nc.NewInbox()
	for n := 0; ctx.Err() == nil; n++ {
		m := nats.Msg{Subject: subjects[n%len(subjects)], Data: data}
		if n/len(subjects)%2 == 0 {
			m.Reply = reply
		}
		if err := f.nc.PublishMsg(&m); err != nil {
			return err
		}
		f.done.Add(1)
	}
	return nil
}
