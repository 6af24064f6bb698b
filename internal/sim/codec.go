// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// A plain codec writes what a schedule sends, and checks every byte that it reads.
// With JSON, a third of the time that a schedule took was spent there.
type plain struct{}

// A message is what this codec is for. Its fields are in one order for both.
type message interface{ fields(f *fields) }

// ContentType implements [bus.Codec].
func (plain) ContentType() string { return "application/x-sim" }

// Append implements [bus.Codec].
func (plain) Append(dst []byte, v any) ([]byte, error) {
	f := fields{bytes: dst}
	return f.bytes, f.of(v)
}

// Decode implements [bus.Codec].
func (plain) Decode(data []byte, v any) error {
	f := fields{bytes: data, reads: true}
	if err := f.of(v); err != nil {
		return err
	}
	if f.wrong || len(f.bytes) > 0 {
		return fmt.Errorf("no %T, from %d bytes before the end", v, len(f.bytes))
	}
	return nil
}

// fields writes the fields of a message to the end of bytes, or reads them from
// their beginning.
type fields struct {
	bytes []byte
	reads bool
	wrong bool
}

func (f *fields) of(v any) error {
	switch v := v.(type) {
	case message:
		v.fields(f)
	case *int:
		whole(f, v)
	default:
		return fmt.Errorf("%T is not of the simulation", v)
	}
	return nil
}

// whole is a number that is not negative.
func whole[N int | uint64 | time.Duration](f *fields, n *N) {
	if !f.reads {
		f.bytes = binary.AppendUvarint(f.bytes, uint64(*n))
		return
	}
	got, size := binary.Uvarint(f.bytes)
	if size <= 0 {
		f.wrong = true
		return
	}
	*n, f.bytes = N(got), f.bytes[size:]
}

func (f *fields) yes(b *bool) {
	n := 0
	if *b {
		n = 1
	}
	whole(f, &n)
	*b = n == 1
}

func (f *fields) text(s *string) {
	n := len(*s)
	whole(f, &n)
	switch {
	case !f.reads:
		f.bytes = append(f.bytes, *s...)
	case n < 0 || n > len(f.bytes):
		f.wrong = true
	default:
		*s, f.bytes = string(f.bytes[:n]), f.bytes[n:]
	}
}

// pad is a text that [pad] made.
func (f *fields) pad(s *string) {
	if !f.reads {
		f.text(s)
		return
	}
	n := 0
	whole(f, &n)
	if n < 0 || n > len(f.bytes) || n > len(dashes) || string(f.bytes[:n]) != dashes[:n] {
		f.wrong = true
		return
	}
	*s, f.bytes = dashes[:n], f.bytes[n:]
}

var dashes = strings.Repeat("-", 1<<20)

// pad returns a text of n bytes, at most a MiB.
func pad(n int) string { return dashes[:n] }

func (q *query) fields(f *fields) {
	whole(f, &q.Call)
	f.text(&q.Caller)
	whole(f, &q.Takes)
	whole(f, &q.Count)
	whole(f, &q.Size)
	f.yes(&q.Fails)
	f.pad(&q.Pad)
}

func (a *answer) fields(f *fields) {
	whole(f, &a.Call)
	f.pad(&a.Pad)
}

func (i *item) fields(f *fields) {
	whole(f, &i.Call)
	whole(f, &i.Run)
	whole(f, &i.N)
	f.pad(&i.Pad)
}

func (b *book) fields(f *fields) {
	whole(f, &b.N)
	whole(f, &b.Sum)
}

func (c *change) fields(f *fields) {
	whole(f, &c.N)
	whole(f, &c.By)
	f.pad(&c.Pad)
}

func (q *oldQuote) fields(f *fields) {
	whole(f, &q.Call)
	f.text(&q.Caller)
}

func (a *oldAnswer) fields(f *fields) { whole(f, &a.Of) }
