// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/durabus/durabus/bus"
)

// runCall makes one call with a query in JSON and prints the answer.
func runCall(ctx context.Context, t *tool, args []string) error {
	var fs flag.FlagSet
	var to target
	to.register(&fs)
	if err := t.parse(&fs, args, 1, 2); err != nil {
		return err
	}
	r, err := parseRequest(fs.Args())
	if err != nil {
		return err
	}
	s, err := to.connect()
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()

	done := t.waiting("calling " + fs.Arg(0))
	answer, err := s.call(ctx, r)
	done()
	if err != nil {
		return err
	}
	if answer != nil {
		_, err = fmt.Fprintf(t.out, "%s\n", answer)
	}
	return err
}

// call returns the answer, which is nil for a one-way RPC.
func (s *session) call(ctx context.Context, r request) ([]byte, error) {
	e, err := s.look(ctx, r)
	if err != nil {
		return nil, err
	}
	if e.Kind.Streams() {
		return nil, failed(exitUsage, "%v is a %v RPC: follow it with 'durabus watch %[1]v'", e.Description, e.Kind)
	}
	l := s.learn(ctx, e)
	query, err := l.encode(r.query)
	if err != nil {
		return nil, err
	}
	reply, err := bus.Do(ctx, s.client, bus.Call{Description: e.Description, Query: query, ContentType: l.contentType()})
	if err != nil || e.Kind == bus.OneWay {
		return nil, explain(err)
	}
	return l.decode("answer", reply.First)
}
