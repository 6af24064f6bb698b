// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/menu"
)

// watchMenu prints what is served, then what changes, until it is interrupted.
func (s *session) watchMenu(ctx context.Context, t *tool) error {
	d, err := menu.Watch(ctx, s.client)
	if err != nil {
		return explain(err)
	}
	defer d.Close()
	var told menu.Menu
	for {
		m, changed := d.Menu()
		for _, change := range changes(told, m) {
			if _, err := fmt.Fprintln(t.out, time.Now().Format("15:04:05.000"), change); err != nil {
				return err
			}
		}
		told = m
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// changes says what became of each version between two menus: it came, it has
// gone, or others serve it now. What the responders begin to disagree about is
// said last. The menu's own RPC is left out, as everybody serves it.
func changes(before, after menu.Menu) (said []string) {
	of := func(m menu.Menu, e menu.Entry) (instances []string) {
		i := slices.IndexFunc(m, func(o menu.Entry) bool {
			return o.Description == e.Description && o.Digest == e.Digest && o.ContentType == e.ContentType
		})
		if i < 0 {
			return nil
		}
		return m[i].Instances
	}
	say := func(what string, e menu.Entry) {
		if e.Description != bus.MenuDescription {
			said = append(said, fmt.Sprintf("%-4s %v %v %s", what, e.Description, e.Kind, e.Digest))
		}
	}
	for _, e := range before {
		if of(after, e) == nil {
			say("gone", e)
		}
	}
	for _, e := range after {
		was, n := of(before, e), len(said)
		switch {
		case was == nil:
			say("came", e)
		case !slices.Equal(was, e.Instances):
			say("now", e)
		}
		if len(said) > n {
			said[n] += fmt.Sprintf(" at %d: %s", len(e.Instances), strings.Join(e.Instances, " "))
		}
	}
	if err := after.Check(); err != nil && fmt.Sprint(err) != fmt.Sprint(before.Check()) {
		said = append(said, err.Error())
	}
	return said
}
