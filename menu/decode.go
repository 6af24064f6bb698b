// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/durabus/durabus/bus"
)

// What responders may make of their menus. A short line needs four times its bytes
// of memory at most, a part of a schema 16 times.
const (
	mostBytes = 4 << 20 // of one menu
	mostText  = 256     // of a content type or digest
	mostLines = 1 << 17 // of the menus of a fleet
)

// A line is what is read of a [bus.MenuEntry] unless schemas were asked for: whatever
// else a responder sends takes no memory.
type line struct {
	Name        string   `json:"name"`
	Version     int      `json:"version"`
	Kind        bus.Kind `json:"kind"`
	ContentType string   `json:"contentType"`
	Digest      string   `json:"digest"`
}

func (l line) Description() bus.Description {
	return bus.Description{Name: l.Name, Version: l.Version, Kind: l.Kind}
}

type described interface{ Description() bus.Description }

// decode reads a menu. Lines of what cannot be called are passed over: they are of a
// newer responder, or a broken one.
func decode[T described](data []byte) (all []T, err error) {
	if len(data) > mostBytes {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(data), mostBytes)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	switch begin, err := d.Token(); {
	case err != nil:
		return nil, err
	case begin != json.Delim('['):
		return nil, errors.New("it is no list")
	}
	for d.More() {
		var l T
		err := d.Decode(&l)
		if _, other := errors.AsType[*json.UnmarshalTypeError](err); other {
			continue
		}
		if err != nil {
			return nil, err
		}
		if bus.CheckDescription(l.Description()) == nil {
			all = append(all, l)
		}
	}
	_, err = d.Token()
	return all, err
}
