// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

// Raw values stay as they are on the wire.
type (
	raw      = json.RawMessage
	rawState = staterpc.Func[raw, raw, raw]
	rawPipe  = piperpc.Func[raw, raw]
)

// runWatch follows a stream and prints its events until it is interrupted.
func runWatch(ctx context.Context, t *tool, args []string) error {
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

	done := t.waiting("asking for the menu")
	d, err := s.prepare(ctx, r)
	done()
	if err != nil {
		return err
	}
	switch d.Kind {
	case bus.State:
		return printEvents(t.out, durable.State(ctx, s.state(r), r.query, durable.Policy{Final: hopeless}))
	case bus.Pipe:
		return printEvents(t.out, durable.Pipe(ctx, s.pipe(r), r.query, durable.Policy{Final: hopeless}))
	}
	return failed(exitUsage, "%v is a %v RPC: call it with 'durabus call %[1]v'", d, d.Kind)
}

// prepare finds what r asks for on the menu, and checks the query.
func (s *session) prepare(ctx context.Context, r request) (bus.Description, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	e, err := s.look(ctx, r)
	if err != nil || !e.Kind.Streams() {
		return e.Description, err
	}
	s.languages = map[int]language{e.Version: s.learn(ctx, e)}
	_, err = s.languages[e.Version].encode(r.query)
	return e.Description, err
}

// state opens the RPC in the version that is the newest when it is called, so
// that a watch follows an upgrade.
func (s *session) state(r request) rawState {
	return func(ctx context.Context, _ raw) (raw, iter.Seq2[raw, error], error) {
		v, l, query, err := s.newest(ctx, r)
		if err != nil {
			return nil, nil, err
		}
		rpc := staterpc.RPC[raw, raw, raw]{Name: r.name, Version: v, Codec: untouched{l.contentType()}}
		state, updates, err := rpc.Client(s.client)(ctx, query)
		if err != nil {
			return nil, nil, err
		}
		if state, err = l.decode("state", state); err != nil {
			return nil, nil, &bus.Error{Code: bus.Undecodable, RPC: rpc.Describe(), MayHaveRun: true, Message: err.Error()}
		}
		return state, l.updates(updates), nil
	}
}

func (s *session) pipe(r request) rawPipe {
	return func(ctx context.Context, _ raw) (iter.Seq2[raw, error], error) {
		v, l, query, err := s.newest(ctx, r)
		if err != nil {
			return nil, err
		}
		rpc := piperpc.RPC[raw, raw]{Name: r.name, Version: v, Codec: untouched{l.contentType()}}
		updates, err := rpc.Client(s.client)(ctx, query)
		return l.updates(updates), err
	}
}

func (l language) updates(updates iter.Seq2[raw, error]) iter.Seq2[raw, error] {
	return piperpc.Map(updates, func(u raw) (raw, error) { return l.decode("update", u) })
}

// newest returns the version to open, and its query in its language.
func (s *session) newest(ctx context.Context, r request) (v int, l language, query raw, err error) {
	if v = r.version; v == 0 {
		served, err := s.client.Served(ctx, r.name)
		if err != nil {
			return 0, l, nil, err
		}
		if len(served) == 0 {
			return 0, l, nil, &bus.Error{Code: bus.NoResponder, RPC: bus.Description{Name: r.name}, Message: "nobody serves this name now"}
		}
		v = served[len(served)-1]
	}
	l, known := s.languages[v]
	if !known {
		l = s.learnVersion(ctx, r.name, v)
		s.languages[v] = l
	}
	if query, err = l.encode(r.query); err != nil {
		err = &bus.Error{Code: bus.Invalid, RPC: bus.Description{Name: r.name, Version: v}, Message: err.Error()}
	}
	return v, l, query, err
}

// learnVersion is learn for a version that came after the menu was read.
func (s *session) learnVersion(ctx context.Context, name string, v int) language {
	e, err := s.look(ctx, request{name: name, version: v})
	if err != nil {
		return language{}
	}
	return s.learn(ctx, e)
}

// hopeless reports whether an error stays however often a stream is opened.
func hopeless(err error) bool {
	for _, c := range []bus.Code{bus.Invalid, bus.Denied, bus.Unauthorized, bus.TooLarge, bus.Undecodable, bus.Application} {
		if errors.Is(err, c) {
			return true
		}
	}
	return false
}

// printEvents prints a line for each event. It returns the hopeless error that
// ended them, or nil if they were interrupted.
func printEvents[S any](w io.Writer, events iter.Seq[durable.Event[S, raw]]) error {
	var last error // of the stream, not of one update
	for ev := range events {
		if err := printEvent(w, time.Now(), ev); err != nil {
			return err
		}
		if ev.Kind != durable.Update {
			last = ev.Err
		}
	}
	if hopeless(last) {
		return explain(last)
	}
	return nil
}

func printEvent[S any](w io.Writer, now time.Time, ev durable.Event[S, raw]) error {
	detail := ""
	switch {
	case ev.Info != nil:
		detail = fmt.Sprintf("%v at %s", ev.Info.RPC, ev.Info.Instance)
	case ev.Err != nil:
		detail = ev.Err.Error()
	case ev.Kind == durable.Snapshot:
		detail = compact(fmt.Appendf(nil, "%s", any(ev.State))) // JSON: a pipe has no snapshots
	case ev.Kind == durable.Update:
		detail = compact(ev.Update)
	}
	_, err := fmt.Fprintf(w, "%s %-15s %s\n", now.Format("15:04:05.000"), ev.Kind, inLine.Replace(detail))
	return err
}
