// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// value describes t as encoding/json sees it.
func (w *writer) value(t reflect.Type) {
	switch {
	case isA[json.Marshaler](t):
		w.out.WriteString(t.String()) // its form is its own; package paths are left out
		return
	case isA[encoding.TextMarshaler](t):
		w.out.WriteString("text " + t.String())
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		w.composite(t)
	case reflect.Interface:
		w.out.WriteString("any")
	case reflect.Struct:
		w.structure(t)
	case reflect.Int, reflect.Uint: // not of the machine's size
		w.out.WriteString(t.Kind().String() + "64")
	default:
		w.out.WriteString(t.Kind().String())
	}
}

// isA reports whether values of t, or pointers to them, are a T.
func isA[T any](t reflect.Type) bool {
	i := reflect.TypeFor[T]()
	return t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && (t.Implements(i) || reflect.PointerTo(t).Implements(i))
}

// composite describes what has no number, and may contain itself. A pointer can only
// if it has a name.
func (w *writer) composite(t reflect.Type) {
	if slices.Contains(w.within, t) {
		w.out.WriteString("itself")
		return
	}
	if t.Kind() != reflect.Pointer || t.Name() != "" {
		w.within = append(w.within, t)
		defer func() { w.within = w.within[:len(w.within)-1] }()
	}
	w.collection(t)
}

func (w *writer) collection(t reflect.Type) {
	switch {
	case t.Kind() == reflect.Pointer:
		w.out.WriteString("*")
	case t.Kind() == reflect.Map:
		w.out.WriteString("map ")
		w.value(t.Key())
		w.out.WriteString(" to ")
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		w.out.WriteString("bytes")
		return
	case t.Kind() == reflect.Array:
		fmt.Fprintf(&w.out, "[%d]", t.Len())
	default:
		w.out.WriteString("[]")
	}
	w.value(t.Elem())
}

func (w *writer) structure(t reflect.Type) {
	if t.Name() != "" && w.again(t) {
		return
	}
	var all []field
	fieldsOf(t, 0, nil, &all)
	w.out.WriteString("{")
	for i, f := range visible(all) {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.out.WriteString(strconv.Quote(f.name) + " ")
		if f.quoted {
			w.out.WriteString("quoted ")
		}
		w.value(f.t)
	}
	w.out.WriteString("}")
}

// A field is one that encoding/json may write.
type field struct {
	name   string
	t      reflect.Type
	depth  int
	tagged bool
	quoted bool
}

// fieldsOf appends the fields of t to all, with those of embedded structs.
func fieldsOf(t reflect.Type, depth int, within []reflect.Type, all *[]field) {
	if slices.Contains(within, t) {
		return
	}
	within = append(within, t)
	for sf := range t.Fields() {
		tag := sf.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		embedded := sf.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		isStruct := sf.Anonymous && embedded.Kind() == reflect.Struct
		switch {
		case tag == "-", !sf.IsExported() && !isStruct:
		case isStruct && name == "":
			fieldsOf(embedded, depth+1, within, all)
		case sf.IsExported():
			f := field{name: sf.Name, t: sf.Type, depth: depth, tagged: name != ""}
			if f.tagged {
				f.name = name
			}
			f.quoted = slices.Contains(strings.Split(options, ","), "string")
			*all = append(*all, f)
		}
	}
}

// visible returns the fields that win over others of their name, by name: the
// outermost, then one with a tag; none of several equals.
func visible(all []field) (fs []field) {
	slices.SortStableFunc(all, func(a, b field) int {
		return cmp.Or(strings.Compare(a.name, b.name), a.depth-b.depth, rank(a)-rank(b))
	})
	for i := 0; i < len(all); {
		next := i + 1
		for next < len(all) && all[next].name == all[i].name {
			next++
		}
		if next == i+1 || all[i+1].depth != all[i].depth || all[i+1].tagged != all[i].tagged {
			fs = append(fs, all[i])
		}
		i = next
	}
	return fs
}

func rank(f field) int {
	if f.tagged {
		return 0
	}
	return 1
}
