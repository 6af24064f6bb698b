// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/menu"
)

// nearestNames is how many names an unknown one is compared with.
const nearestNames = 3

// A request is what the arguments of call and watch ask for.
type request struct {
	name    string
	version int // 0 is the newest that is served
	query   json.RawMessage
}

// parseRequest reads NAME[.vN] [JSON]. Without JSON the query is null, which
// most types take for their zero value.
func parseRequest(args []string) (request, error) {
	r := request{query: json.RawMessage("null")}
	r.name, r.version = splitVersion(args[0])
	if len(args) < 2 {
		return r, nil
	}
	var v any
	if err := json.Unmarshal([]byte(args[1]), &v); err != nil {
		return r, failed(exitUsage, "%s is not JSON: %v; text wants quotes of its own: '\"text\"'", args[1], err)
	}
	r.query = json.RawMessage(args[1])
	return r, nil
}

// splitVersion cuts the last token off, if it is a version.
func splitVersion(s string) (name string, version int) {
	i := strings.LastIndex(s, ".v")
	if i < 0 {
		return s, 0
	}
	v, err := strconv.Atoi(s[i+2:])
	if err != nil || v < 1 || s[i+2] == '+' {
		return s, 0
	}
	return s[:i], v
}

// look finds what r asks for on the menu. Who does not tell what they serve matter
// only if nobody else serves it.
func (s *session) look(ctx context.Context, r request) (menu.Entry, error) {
	m, err := s.fetchMenu(ctx)
	e, missing := find(m, r)
	if missing != nil && err != nil {
		return e, err
	}
	return e, missing
}

// fetchMenu asks everybody what they serve. It returns what it was told besides an
// error about those who did not answer, and leaves time for a call after it.
func (s *session) fetchMenu(ctx context.Context) (menu.Menu, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	m, err := menu.Fetch(ctx, s.client)
	if errors.Is(err, bus.NoResponder) {
		where := ""
		if s.prefix != "" {
			where = fmt.Sprintf(" below the prefix %q", s.prefix)
		}
		return nil, failed(exitUnserved, "nobody serves anything at %s%s: start a responder, or name another broker with -server or NATS_URL, another prefix with -prefix", withoutSecrets(s.server), where)
	}
	return m, explain(err)
}

// find returns the RPC that r asks for, in the newest version unless r names
// one.
func find(m menu.Menu, r request) (menu.Entry, error) {
	var found menu.Entry
	var served []string
	for _, e := range m {
		if e.Name != r.name {
			continue
		}
		served = append(served, "v"+strconv.Itoa(e.Version))
		if e.Version == r.version || r.version == 0 && e.Version > found.Version {
			found = e
		}
	}
	switch {
	case len(served) == 0:
		return found, failed(exitUnserved, "no responder: nobody serves %s; %s", r.name, suggestion(m, r.name))
	case found.Version == 0:
		slices.Sort(served)
		served = slices.Compact(served)
		return found, failed(exitUnserved, "version unserved: asked for was %s.v%d, served are %s; without a version the newest is taken", r.name, r.version, strings.Join(served, ", "))
	}
	return found, nil
}

func suggestion(m menu.Menu, name string) string {
	near := m.Nearest(name, nearestNames)
	switch len(near) {
	case 0:
		return "no name on the menu is like it: 'durabus menu' lists them"
	case 1:
		return "the menu has " + near[0]
	}
	return "nearest on the menu are " + strings.Join(near, ", ")
}
