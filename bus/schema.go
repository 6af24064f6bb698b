// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"reflect"
	"strings"

	"github.com/durabus/durabus/internal/schema"
)

// A Schema is what the values of one RPC look like on the wire. The definitions
// make it of their types; a handler without one, such as a proxy, has none in its
// menu either.
type Schema []SchemaPart

// A SchemaPart is one of an RPC's types.
type SchemaPart struct {
	Role        string       // query, answer, state, update, or "error " and its name
	ContentType string       // of its codec; "" for an error without a detail
	Type        reflect.Type // nil for an error without a detail
}

// Text returns the schema as one line for each part. It is the same in every
// build, whatever the Go types and packages are called: it has what a peer could
// stumble over, which is names, numbers and kinds of fields, names of enum
// values, content types and names of errors. Of a codec of the program's own it
// has the content type and the fields of the Go type.
func (s Schema) Text() string {
	var b strings.Builder
	for _, p := range s {
		b.WriteString(strings.TrimSpace(p.Role+" "+p.ContentType) + ": " + schema.Text(p.Type) + "\n")
	}
	return b.String()
}

// Digest returns 16 hexadecimal digits that differ where the text does; "" for
// no schema.
func (s Schema) Digest() string {
	if len(s) == 0 {
		return ""
	}
	return schema.Digest(s.Text())
}

// Descriptors returns an encoded google.protobuf.FileDescriptorSet of the
// messages in the schema and all that they import; nil if it has no message.
func (s Schema) Descriptors() ([]byte, error) {
	types := make([]reflect.Type, len(s))
	for i, p := range s {
		types[i] = p.Type
	}
	return schema.Descriptors(types...)
}

// parts are those of the menu.
func (s Schema) parts() []MenuPart {
	var ps []MenuPart
	for _, p := range s {
		ps = append(ps, MenuPart{p.Role, p.ContentType, schema.MessageName(p.Type)})
	}
	return ps
}

// Part returns the codec's part of a schema.
func (c *TypedCodec[T]) Part(role string) SchemaPart {
	return SchemaPart{Role: role, ContentType: c.ContentType(), Type: reflect.TypeFor[T]()}
}

// SchemaOf returns the schema of parts and of errors, in that order.
func SchemaOf(errors []ErrorType, parts ...SchemaPart) Schema {
	s := append(Schema(nil), parts...)
	for _, e := range errors {
		s = append(s, e.part)
	}
	return s
}
