// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/json"
	"strconv"
)

// MenuDescription is the RPC by which every responder lists what it serves: a
// [MenuQuery], which may be left out, is answered by a list of [MenuEntry], both
// as JSON. Package menu reads it.
var MenuDescription = Description{Name: "durabus.menu", Version: 1, Kind: Unary}

// A MenuQuery asks for more than the list. Responders that do not know it answer
// with the plain list.
type MenuQuery struct {
	Schemas string `json:"schemas,omitempty"` // the name whose entries come with Schema and Descriptors
}

// A MenuEntry is one line of a responder's menu, as it is on the wire. Readers
// must take menus of responders that leave out all but the first three.
type MenuEntry struct {
	Name        string `json:"name"`
	Version     int    `json:"version"`
	Kind        Kind   `json:"kind"`
	ContentType string `json:"contentType,omitempty"`
	Digest      string `json:"digest,omitempty"`      // of the schema
	Schema      string `json:"schema,omitempty"`      // on request: its text
	Descriptors []byte `json:"descriptors,omitempty"` // on request: a google.protobuf.FileDescriptorSet

	Parts []MenuPart `json:"parts,omitempty"` // on request: the values of the schema, in its order
}

// A MenuPart is one value of an RPC, as its menu has it.
type MenuPart struct {
	Role        string `json:"role"`                  // as in a [SchemaPart]
	ContentType string `json:"contentType,omitempty"` // "" for an error without a detail
	Message     string `json:"message,omitempty"`     // the full name of its protobuf message, if it is one
}

// Description returns what the entry is about.
func (e MenuEntry) Description() Description {
	return Description{Name: e.Name, Version: e.Version, Kind: e.Kind}
}

func (m *mux) menuHandler() Handler {
	return Handler{Description: MenuDescription, Call: func(_ context.Context, c Call) (Reply, error) {
		var query MenuQuery
		_ = json.Unmarshal(c.Query, &query) // what is no query asks for the list
		entries, err := m.list(query.Schemas)
		if err != nil {
			return Reply{}, err
		}
		b, err := json.Marshal(entries)
		return Reply{First: b}, err
	}}
}

// entry is d's line of the menu, with its schema if that is wanted.
func (m *mux) entry(d Description, schema bool) (e MenuEntry, err error) {
	h := m.handlers[d]
	e = MenuEntry{Name: d.Name, Version: d.Version, Kind: d.Kind, ContentType: h.ContentType, Digest: m.digest(d)}
	if schema {
		e.Schema = h.Schema.Text()
		e.Parts = h.Schema.parts()
		e.Descriptors, err = h.Schema.Descriptors()
	}
	return e, err
}

// digest is that of d's schema, computed when it is asked for first: most muxes
// in tests are never asked.
func (m *mux) digest(d Description) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	digest, known := m.digests[d]
	if !known {
		digest = m.handlers[d].Schema.Digest()
		m.digests[d] = digest
	}
	return digest
}

// metadata is what the NATS tools see of d.
func (m *mux) metadata(d Description) map[string]string {
	md := map[string]string{"durabus.name": d.Name, "durabus.version": strconv.Itoa(d.Version), "durabus.kind": d.Kind.String()}
	if digest := m.digest(d); digest != "" {
		md["durabus.digest"] = digest
	}
	if t := m.handlers[d].ContentType; t != "" {
		md["durabus.content-type"] = t
	}
	return md
}
