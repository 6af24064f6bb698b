// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// MessageName returns the full name of the message that values of t are; "" if
// they are none.
func MessageName(t reflect.Type) string {
	if t == nil {
		return ""
	}
	m, ok := message(t)
	if !ok {
		return ""
	}
	return string(m.ProtoReflect().Descriptor().FullName())
}

// message describes a protobuf message: its fields by number.
func (w *writer) message(m protoreflect.MessageDescriptor) {
	if w.again(m.FullName()) {
		return
	}
	fields := make([]protoreflect.FieldDescriptor, m.Fields().Len())
	for i := range fields {
		fields[i] = m.Fields().Get(i)
	}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	w.out.WriteString("{")
	for i, f := range fields {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.field(f)
	}
	w.out.WriteString("}")
}

func (w *writer) field(f protoreflect.FieldDescriptor) {
	fmt.Fprintf(&w.out, "%d %q ", f.Number(), f.JSONName())
	switch {
	case f.IsMap():
		w.out.WriteString("map " + f.MapKey().Kind().String() + " to ")
		w.element(f.MapValue())
		return
	case f.IsList():
		w.out.WriteString("[]")
	case f.Cardinality() == protoreflect.Required:
		w.out.WriteString("required ")
	case f.ContainingOneof() != nil && !f.ContainingOneof().IsSynthetic():
		w.out.WriteString("oneof " + string(f.ContainingOneof().Name()) + " ")
	}
	w.element(f)
}

func (w *writer) element(f protoreflect.FieldDescriptor) {
	switch {
	case f.Message() != nil:
		if f.Kind() == protoreflect.GroupKind {
			w.out.WriteString("group ")
		}
		w.message(f.Message())
	case f.Enum() != nil:
		w.enum(f.Enum())
	default:
		w.out.WriteString(f.Kind().String())
	}
}

func (w *writer) enum(e protoreflect.EnumDescriptor) {
	if w.again(e.FullName()) {
		return
	}
	w.out.WriteString("(")
	for i := range e.Values().Len() {
		if i > 0 {
			w.out.WriteString(", ")
		}
		v := e.Values().Get(i)
		fmt.Fprintf(&w.out, "%d %s", v.Number(), v.Name())
	}
	w.out.WriteString(")")
}

// Descriptors returns an encoded FileDescriptorSet of the messages among types,
// each file behind those that it imports; nil if there is no message.
func Descriptors(types ...reflect.Type) ([]byte, error) {
	var set descriptorpb.FileDescriptorSet
	seen := map[string]bool{}
	for _, t := range types {
		if t == nil {
			continue
		}
		if m, ok := message(t); ok {
			addFile(&set, seen, m.ProtoReflect().Descriptor().ParentFile())
		}
	}
	if len(set.File) == 0 {
		return nil, nil
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&set)
}

func addFile(set *descriptorpb.FileDescriptorSet, seen map[string]bool, f protoreflect.FileDescriptor) {
	if seen[f.Path()] || f.IsPlaceholder() {
		return
	}
	seen[f.Path()] = true
	for i := range f.Imports().Len() {
		addFile(set, seen, f.Imports().Get(i).FileDescriptor)
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
}
