// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/json"
)

// MenuDescription is the RPC by which every responder lists what it serves, as
// JSON: a list of {"name", "version", "kind"}. Package menu reads it.
var MenuDescription = Description{Name: "durabus.menu", Version: 1, Kind: Unary}

// A MenuEntry is one line of a responder's menu, as it is on the wire.
type MenuEntry struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Kind    Kind   `json:"kind"`
}

func (m *mux) menuHandler() Handler {
	return Handler{Description: MenuDescription, Call: func(context.Context, Call) (Reply, error) {
		entries := make([]MenuEntry, 0, len(m.menu))
		for _, d := range m.menu {
			entries = append(entries, MenuEntry(d))
		}
		b, err := json.Marshal(entries)
		return Reply{First: b}, err
	}}
}
