// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/durabus/durabus/bus"
)

// descriptorsOf are those that an honest responder sends.
func descriptorsOf(f *testing.F, messages ...proto.Message) []byte {
	set := new(descriptorpb.FileDescriptorSet)
	for _, m := range messages {
		file := m.ProtoReflect().Descriptor().ParentFile()
		for i := range file.Imports().Len() {
			set.File = append(set.File, protodesc.ToFileDescriptorProto(file.Imports().Get(i).FileDescriptor))
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	b, err := proto.Marshal(set)
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// FuzzDescriptors holds that whatever a responder says its messages are, what is
// written of a value in it is JSON, and means the same when it is read again.
func FuzzDescriptors(f *testing.F) {
	for _, m := range []proto.Message{&apipb.Mixin{Name: "n", Root: "r"}, &durationpb.Duration{Seconds: 7}, new(apipb.Api)} {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(descriptorsOf(f, m), string(m.ProtoReflect().Descriptor().FullName()), data)
	}
	f.Add([]byte("\x0a\x10\x0a\x01a\x22\x0b\x0a\x01M\x12\x06\x0a\x01m\x18\x01 \x01"), "M", []byte{8, 1})
	f.Fuzz(func(t *testing.T, descriptors []byte, message string, data []byte) {
		part := bus.MenuPart{Role: "query", ContentType: bus.Proto.ContentType(), Message: message}
		l, err := languageOf(bus.MenuEntry{Descriptors: descriptors, Parts: []bus.MenuPart{part}})
		if err != nil {
			return
		}
		fields(l.messages["query"])
		text, err := l.decode("query", data)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%x reads as %q", data, text)
		}
		again, err := l.encode(text)
		if err != nil {
			return // an enum or a wrapper that JSON cannot say
		}
		if back, err := l.decode("query", again); err != nil || !bytes.Equal(back, text) {
			t.Fatalf("%s was written as %x and reads as %s, %v", text, again, back, err)
		}
	})
}

// FuzzStreamsPage holds that whatever an endpoint serves, nothing of what is printed
// steers a terminal.
func FuzzStreamsPage(f *testing.F) {
	f.Add([]byte(`{"program":"p","pid":7,"total":1,"shown":1,"snapshots":[{"side":"client","id":"x\u001b","counters":{"lost":1},"streams":[{"role":"feed","name":"a","peer":"\u009b"}]}]}`))
	f.Add([]byte(`{"snapshots":[]}`))
	f.Fuzz(func(t *testing.T, page []byte) {
		var b bytes.Buffer
		tool := &tool{out: plain{&b}, err: io.Discard}
		_ = tool.printPage(page, new(url.URL))
		for _, r := range b.String() {
			if steers(r) {
				t.Fatalf("%q", b.String())
			}
		}
	})
}
