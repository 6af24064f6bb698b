// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// A Codec turns values into bytes and back. In both directions v is a non-nil
// pointer to the value or, where the RPC's type is a protobuf message, that
// message. Append must not keep v, Decode may keep data.
type Codec interface {
	ContentType() string // as in HTTP; both sides of a call must agree
	Append(dst []byte, v any) ([]byte, error)
	Decode(data []byte, v any) error
}

// The codecs. A definition that names none uses Proto for protobuf messages,
// Bytes for []byte and JSON for all else; where a caller asks for
// application/json, JSON serves every type.
var (
	Proto Codec = protoCodec{}
	JSON  Codec = jsonCodec{}
	Bytes Codec = bytesCodec{}
)

// Reusing returns c for readers who want no memory for each update: a client
// whose definition has it decodes each update of a stream into the value of the
// one before, which is valid until the loop asks for the next. Who keeps an
// update, or a part of it, must copy it; nothing else may be left behind in the
// loop's body, such as a goroutine that reads it, a channel or a replica that
// stores it. Queries, states and answers are not concerned, nor are the updates of
// a shared feed or of staterpc.Conflate: those are values of their own.
//
// It is the reader's choice and does not show on the wire: a client may set it in
// its own copy of a definition. A nil c is the default codec of each type. Decode
// of any other than Proto and Bytes must overwrite all of a value that holds
// another; JSON's does not, and stays as it is.
func Reusing(c Codec) Codec {
	switch c.(type) {
	case jsonCodec, reusing:
		return c
	}
	return reusing{c}
}

// reusing marks the codec in it.
type reusing struct{ Codec }

// ContentTypeJSON is understood by every responder.
const ContentTypeJSON = "application/json"

// A TypedCodec is a codec for one type. Its methods may be used concurrently.
type TypedCodec[T any] struct {
	codec   Codec
	message reflect.Type // of the message that T points to; nil if T is none
	bytes   bool         // T is []byte, as it is
	reuse   bool         // DecodeTo may use the memory of the value before
}

// CodecFor returns c for T; if c is nil, the default codec of T.
func CodecFor[T any](c Codec) *TypedCodec[T] {
	t := reflect.TypeFor[T]()
	isMessage := t.Kind() == reflect.Pointer && t.Implements(reflect.TypeFor[proto.Message]())
	r, reuse := c.(reusing)
	if reuse {
		c = r.Codec
	}
	if c == nil {
		switch {
		case isMessage:
			c = Proto
		case t == reflect.TypeFor[[]byte]():
			c = Bytes
		default:
			c = JSON
		}
	}
	tc := &TypedCodec[T]{codec: c, reuse: reuse && c != JSON}
	if isMessage {
		tc.message = t.Elem()
	}
	_, asIs := any((*T)(nil)).(*[]byte)
	tc.bytes = asIs && c == Bytes
	return tc
}

// As returns the codec for a call of contentType: c itself, or JSON where that
// was asked for.
func (c *TypedCodec[T]) As(contentType string) *TypedCodec[T] {
	if contentType == ContentTypeJSON && c.codec.ContentType() != ContentTypeJSON {
		return &TypedCodec[T]{codec: JSON, message: c.message}
	}
	return c
}

// Fresh returns c without the reuse of values, if c is [Reusing].
func (c *TypedCodec[T]) Fresh() *TypedCodec[T] {
	fresh := *c
	fresh.reuse = false
	return &fresh
}

// ContentType is that of the codec.
func (c *TypedCodec[T]) ContentType() string { return c.codec.ContentType() }

// Append appends the encoding of *v to dst. It allocates nothing of its own
// where *v does not move to the heap for it.
func (c *TypedCodec[T]) Append(dst []byte, v *T) ([]byte, error) {
	if c.message != nil {
		return c.codec.Append(dst, any(*v))
	}
	return c.codec.Append(dst, v)
}

// Encode returns the encoding of *v, which may share *v: bytes are not copied.
func (c *TypedCodec[T]) Encode(v *T) ([]byte, error) {
	if c.bytes {
		b := *any(v).(*[]byte)
		return b[:len(b):len(b)], nil
	}
	return c.Append(nil, v)
}

// Decode returns the value that data encodes, which may share data.
func (c *TypedCodec[T]) Decode(data []byte) (T, error) {
	if c.message == nil {
		v := new(T)
		err := c.codec.Decode(data, v)
		return *v, err
	}
	m := reflect.New(c.message).Interface()
	if _, ok := c.codec.(protoCodec); ok { // a new message need not be reset, which takes a third of the time
		return m.(T), proto.UnmarshalOptions{Merge: true}.Unmarshal(data, m.(proto.Message))
	}
	return m.(T), c.codec.Decode(data, m)
}

// DecodeTo is Decode to *v, of whose old value nothing is kept but, if c is
// [Reusing], its memory. A loop with one v for all its values allocates none of
// them but what they point to.
func (c *TypedCodec[T]) DecodeTo(v *T, data []byte) (err error) {
	switch {
	case c.bytes: // as bytesCodec does, at a third of the price
		*any(v).(*[]byte) = data[:len(data):len(data)]
		return nil
	case c.message == nil:
		if !c.reuse {
			var none T
			*v = none
		}
		return c.codec.Decode(data, v)
	case c.reuse && !reflect.ValueOf(*v).IsNil():
		return c.codec.Decode(data, any(*v))
	}
	*v, err = c.Decode(data)
	return err
}

type protoCodec struct{}

func (protoCodec) ContentType() string { return "application/protobuf" }

func (protoCodec) Append(dst []byte, v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return dst, fmt.Errorf("durabus: %T is not a protobuf message", v)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

func (protoCodec) Decode(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("durabus: %T is not a protobuf message", v)
	}
	return proto.Unmarshal(b, m)
}

type bytesCodec struct{}

func (bytesCodec) ContentType() string { return "application/octet-stream" }

var errNotBytes = errors.New("durabus: the bytes codec is for []byte only")

func (bytesCodec) Append(dst []byte, v any) ([]byte, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return dst, errNotBytes
	}
	return append(dst, *b...), nil
}

func (bytesCodec) Decode(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return errNotBytes
	}
	*b = data[:len(data):len(data)] // appending to one value must not reach the next
	return nil
}

type jsonCodec struct{}

func (jsonCodec) ContentType() string { return ContentTypeJSON }

// A jsonWriter encodes into a buffer that is used again.
type jsonWriter struct {
	buf bytes.Buffer
	enc *json.Encoder
}

var jsonWriters = sync.Pool{New: func() any {
	w := new(jsonWriter)
	w.enc = json.NewEncoder(&w.buf)
	w.enc.SetEscapeHTML(false)
	return w
}}

func (jsonCodec) Append(dst []byte, v any) ([]byte, error) {
	if m, ok := v.(proto.Message); ok {
		return protojson.MarshalOptions{}.MarshalAppend(dst, m)
	}
	w := jsonWriters.Get().(*jsonWriter)
	defer jsonWriters.Put(w)
	w.buf.Reset()
	if err := w.enc.Encode(v); err != nil {
		return dst, err
	}
	b := w.buf.Bytes()
	return append(dst, b[:len(b)-1]...), nil // without the encoder's newline
}

func (jsonCodec) Decode(b []byte, v any) error {
	if m, ok := v.(proto.Message); ok {
		return protojson.UnmarshalOptions{}.Unmarshal(b, m)
	}
	return json.Unmarshal(b, v)
}
