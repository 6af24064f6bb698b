// SPDX-License-Identifier: Apache-2.0

package bus

import "errors"

// An ErrorType is one kind of error that an RPC's handler returns and that its
// callers find with [errors.AsType] or [errors.Is]. Its name goes on the wire,
// so that the Go type may be renamed.
type ErrorType struct {
	Name   string
	part   SchemaPart
	encode func(error) (detail []byte, ok bool, err error)
	decode func(detail []byte) (error, error)
}

// ErrorOf is the error type E, encoded as any other value of its type.
func ErrorOf[E error](name string) ErrorType {
	return ErrorVia(name, func(e E) E { return e }, func(e E) E { return e })
}

// ErrorVia is the error type E, encoded as a W, such as a protobuf message.
func ErrorVia[E error, W any](name string, encode func(E) W, decode func(W) E) ErrorType {
	codec := CodecFor[W](nil)
	return ErrorType{
		Name: name,
		part: codec.Part("error " + name),
		encode: func(err error) ([]byte, bool, error) {
			e, ok := errors.AsType[E](err)
			if !ok {
				return nil, false, nil
			}
			w := encode(e)
			b, merr := codec.Append(nil, &w)
			return b, true, merr
		},
		decode: func(b []byte) (error, error) {
			w, err := codec.Decode(b)
			if err != nil {
				return nil, err
			}
			return decode(w), nil
		},
	}
}

// Sentinel is an error known by identity: callers find it with [errors.Is].
func Sentinel(name string, sentinel error) ErrorType {
	return ErrorType{
		Name:   name,
		part:   SchemaPart{Role: "error " + name},
		encode: func(err error) ([]byte, bool, error) { return nil, errors.Is(err, sentinel), nil },
		decode: func([]byte) (error, error) { return sentinel, nil },
	}
}

// An ErrorMap converts one type of application error to that of another version.
type ErrorMap func(error) (error, bool)

// MapError converts errors of type E1; it finds them as errors.AsType does and
// keeps the [Error] around them.
func MapError[E1, E2 error](f func(E1) E2) ErrorMap {
	return func(err error) (error, bool) {
		e1, ok := errors.AsType[E1](err)
		if !ok {
			return err, false
		}
		if outer, ok := errors.AsType[*Error](err); ok {
			c := *outer
			c.Err, c.typ, c.detail = f(e1), "", nil
			return &c, true
		}
		return f(e1), true
	}
}

// MapErrors applies the first of maps that fits.
func MapErrors(err error, maps ...ErrorMap) error {
	for _, m := range maps {
		if e, ok := m(err); ok {
			return e
		}
	}
	return err
}
