// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/menu"
)

// A language is what an RPC is called in. Its zero value is JSON, which every
// responder of ours takes. Of protobuf messages whose descriptors the responder
// gave it is protobuf: then a mistake in a query is found here, with the field's
// name, and responders that take no JSON are understood.
type language struct {
	messages map[string]protoreflect.MessageDescriptor // by role; nil for JSON
	types    *dynamicpb.Types
}

func (l language) contentType() string {
	if l.messages == nil {
		return bus.ContentTypeJSON
	}
	return bus.Proto.ContentType()
}

// learn asks an instance of e for its descriptors. Where it does not get them, or
// values are neither messages nor JSON, the language is JSON.
func (s *session) learn(ctx context.Context, e menu.Entry) language {
	if e.ContentType != bus.Proto.ContentType() {
		return language{}
	}
	d, err := menu.Describe(ctx, s.client, e)
	if err != nil {
		return language{} // the call says what is wrong
	}
	l, err := languageOf(d)
	if err != nil {
		return language{}
	}
	return l
}

func languageOf(d bus.MenuEntry) (language, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(d.Descriptors, &set); err != nil {
		return language{}, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return language{}, err
	}
	l := language{map[string]protoreflect.MessageDescriptor{}, dynamicpb.NewTypes(files)}
	for _, p := range d.Parts {
		if strings.HasPrefix(p.Role, "error ") || p.ContentType == bus.ContentTypeJSON {
			continue
		}
		found, err := files.FindDescriptorByName(protoreflect.FullName(p.Message))
		m, ok := found.(protoreflect.MessageDescriptor)
		if err != nil || !ok || p.ContentType != bus.Proto.ContentType() {
			return language{}, fmt.Errorf("the %s is no message that was described", p.Role)
		}
		l.messages[p.Role] = m
	}
	return l, nil
}

// described makes a panic of protobuf's an error: it takes what is called
// google.protobuf.Duration for one, whatever fields a responder gave it. P is what
// recover returned.
func described(p any, err *error) {
	if p != nil {
		*err = failed(exitFailed, "the responder's messages are not what their names say: %v", p)
	}
}

// encode returns the query in the language.
func (l language) encode(query []byte) (_ []byte, err error) {
	defer func() { described(recover(), &err) }()
	m := l.messages["query"]
	if m == nil {
		return query, nil
	}
	v := dynamicpb.NewMessage(m)
	if string(query) != "null" {
		if err := (protojson.UnmarshalOptions{Resolver: l.types}).Unmarshal(query, v); err != nil {
			return nil, failed(exitUsage, "the query is no %s: %v; its fields are %s", m.FullName(), err, fields(m))
		}
	}
	return proto.Marshal(v)
}

// fields are those of m, as JSON has them, for somebody who has no .proto file.
func fields(m protoreflect.MessageDescriptor) string {
	var fs []string
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		kind := f.Kind().String()
		switch {
		case f.Message() != nil:
			kind = string(f.Message().FullName())
		case f.Enum() != nil:
			kind = string(f.Enum().FullName())
		}
		if f.IsList() {
			kind = "list of " + kind
		}
		fs = append(fs, f.JSONName()+" ("+kind+")")
	}
	slices.Sort(fs)
	return strings.Join(fs, ", ")
}

// decode returns a value of the responder's, of a role, as JSON.
func (l language) decode(role string, data []byte) (_ raw, err error) {
	defer func() { described(recover(), &err) }()
	m := l.messages[role]
	if m == nil {
		return data, nil
	}
	v := dynamicpb.NewMessage(m)
	if err := (proto.UnmarshalOptions{Resolver: l.types}).Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("the %s is no %s: %w", role, m.FullName(), err)
	}
	text, err := protojson.MarshalOptions{Resolver: l.types}.Marshal(v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer // protojson puts spaces at random
	err = json.Compact(&b, text)
	return b.Bytes(), err
}

// untouched is the codec of what encode and decode have made or will read.
type untouched struct{ contentType string }

func (u untouched) ContentType() string { return u.contentType }

func (untouched) Append(dst []byte, v any) ([]byte, error) { return append(dst, *v.(*raw)...), nil }

func (untouched) Decode(data []byte, v any) error {
	*v.(*raw) = slices.Clone(data)
	return nil
}
