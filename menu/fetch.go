// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/durabus/durabus/bus"
)

// A fleet is a caller that can ask each of its responders by itself, as a
// bus.Client does.
type fleet interface {
	Instances(ctx context.Context) ([]string, error)
	At(instance string) bus.Caller
}

// concurrent is how many responders are asked at a time.
const concurrent = 16

// Fetch asks every responder that c reaches for its menu, at the same time, and
// returns the union; a caller that is no bus.Client, such as bus.Local, counts as
// one responder. One that left meanwhile is passed over. If another does not
// answer the error names it, and the menu is what the rest serve; so it is with one
// whose lines would make more than 131,072 with theirs. As it makes several calls,
// ctx must not be one of [bus.WithInfo].
func Fetch(ctx context.Context, c bus.Caller) (Menu, error) {
	f, ok := c.(fleet)
	if !ok {
		return ask(ctx, c)
	}
	instances, err := f.Instances(ctx)
	if err != nil {
		return nil, err
	}
	if len(instances) == 0 {
		return nil, &bus.Error{Code: bus.NoResponder, RPC: bus.MenuDescription, Message: "no responder is known"}
	}
	return fetchAll(ctx, f, instances)
}

func fetchAll(ctx context.Context, f fleet, instances []string) (Menu, error) {
	menus, errs := make([]Menu, len(instances)), make([]error, len(instances))
	turns := make(chan struct{}, concurrent)
	var asking sync.WaitGroup
	var lines atomic.Int64 // of all menus
	for i, instance := range instances {
		turns <- struct{}{}
		asking.Go(func() {
			defer func() { <-turns }()
			menus[i], errs[i] = ask(ctx, f.At(instance))
			if n := lines.Add(int64(len(menus[i]))); n > mostLines {
				lines.Add(-int64(len(menus[i])))
				menus[i], errs[i] = nil, &bus.Error{Code: bus.TooLarge, RPC: bus.MenuDescription, Message: fmt.Sprintf(
					"its menu is left out: with it the fleet's have %d lines, at most %d are read", n, mostLines)}
			}
			if left(errs[i]) {
				errs[i] = nil
			} else if errs[i] != nil {
				errs[i] = fmt.Errorf("instance %s: %w", instance, errs[i])
			}
		})
	}
	asking.Wait()
	return merge(menus...), errors.Join(errs...)
}

// left reports whether err says that the responder is not there any more.
func left(err error) bool {
	return errors.Is(err, bus.NoResponder) || errors.Is(err, bus.Gone) || errors.Is(err, bus.Draining)
}

// ask returns the menu of one responder.
func ask(ctx context.Context, c bus.Caller) (Menu, error) {
	info, lines, err := list[line](ctx, c, bus.MenuQuery{})
	if err != nil {
		return nil, err
	}
	m := make(Menu, len(lines))
	for i, l := range lines {
		m[i] = Entry{l.Description(), text(l.ContentType), text(l.Digest), []string{text(info.Instance)}}
	}
	return merge(m), nil
}

// text returns what a responder says of itself; nothing where that is longer than any
// that makes sense, or would look like several lines or columns to whoever prints it.
func text(said string) string {
	if len(said) > mostText || strings.ContainsFunc(said, unicode.IsControl) {
		return ""
	}
	return said
}

// list returns the menu of one responder as it is on the wire.
func list[T described](ctx context.Context, c bus.Caller, q bus.MenuQuery) (bus.Info, []T, error) {
	query, err := json.Marshal(q)
	if err != nil {
		return bus.Info{}, nil, err
	}
	call := bus.Call{Description: bus.MenuDescription, Query: query, ContentType: bus.ContentTypeJSON, Idempotent: true}
	reply, err := bus.Do(ctx, c, call)
	if err != nil {
		return reply.Info, nil, err
	}
	lines, err := decode[T](reply.First)
	if err != nil {
		return reply.Info, nil, bus.AnswerNotDecoded(reply.Info, "the menu", err)
	}
	return reply.Info, lines, nil
}
