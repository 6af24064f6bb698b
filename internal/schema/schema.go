// SPDX-License-Identifier: Apache-2.0

// Package schema writes down what values look like on the wire, as text that is
// the same in every build: for protobuf messages after their descriptors, for all
// else after the fields that encoding/json sees.
//
// Names of Go types and packages, the order of a struct's fields, comments and
// options are no part of it. What can break a peer is: the names, numbers and
// kinds of fields, the names of enum values, and the content type.
package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Text describes values of type t, which may be nil: no value.
func Text(t reflect.Type) string {
	if t == nil {
		return "none"
	}
	w := writer{seen: map[any]int{}}
	if m, ok := message(t); ok {
		w.message(m.ProtoReflect().Descriptor())
	} else {
		w.value(t)
	}
	return w.out.String()
}

// Digest is a short name of text: 16 hexadecimal digits.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// message returns a message of type t, a pointer to a generated struct.
func message(t reflect.Type) (proto.Message, bool) {
	if t.Kind() != reflect.Pointer || !t.Implements(reflect.TypeFor[proto.Message]()) {
		return nil, false
	}
	return reflect.New(t.Elem()).Interface().(proto.Message), true
}

// A writer writes one description. A struct or message with a name has a number,
// by which it is named when it comes again: so types may contain themselves, and
// the text stays as short as the types.
type writer struct {
	out    strings.Builder
	seen   map[any]int
	within []reflect.Type // the lists and maps being written, which may contain themselves
}

// again writes the number of what is written now, and reports whether it was
// written before.
func (w *writer) again(key any) bool {
	n, known := w.seen[key]
	if !known {
		n = len(w.seen) + 1
		w.seen[key] = n
	}
	w.out.WriteString("#" + strconv.Itoa(n))
	return known
}
