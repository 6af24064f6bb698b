// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
)

func TestLinesOfWhatCannotBeCalledArePassedOver(t *testing.T) {
	for _, other := range []string{
		`{"name":"a.b","version":0,"kind":2}`, `{"name":"a b","version":1,"kind":2}`, `{"name":"a","version":1,"kind":9}`, `{}`, `7`, `null`, `["a"]`,
		`{"name":"a","version":1,"kind":300}`, `{"name":"a","version":"1","kind":2}`, `{"name":"\u001b[2J","version":1,"kind":2}`,
	} {
		all, err := decode[line]([]byte(`[` + other + `,{"name":"market.price","version":2,"kind":4}]`))
		want := []line{{Name: "market.price", Version: 2, Kind: bus.State}}
		if err != nil || !slices.Equal(all, want) {
			t.Errorf("%s: %v, %v", other, all, err)
		}
	}
}

func TestAMenuThatIsNoneIsRefused(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{`{}`, "no list"},
		{`"a"`, "no list"},
		{``, "EOF"},
		{`[{"name"`, "unexpected"},
		{`[{}`, "EOF"},
		{"[" + strings.Repeat(" ", mostBytes) + "]", "at most 4194304"},
	} {
		if all, err := decode[line]([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.20s: %v, %v; want %q", c.text, all, err, c.says)
		}
	}
}

// A line of three bytes would become one of 70, and that of a schema one of 130.
func TestAMenuOfNothingTakesNoMemory(t *testing.T) {
	data := []byte("[" + strings.Repeat("{},", 20_000) + "{}]")
	if all, err := decode[bus.MenuEntry](data); cap(all) > 0 || err != nil {
		t.Errorf("room for %d lines, %v", cap(all), err)
	}
}

// FuzzMenu holds that what was read of a menu can be called and means the same when
// it is written and read again, and that menus add up in any order.
func FuzzMenu(f *testing.F) {
	f.Add([]byte(`[{"name":"durabus.menu","version":1,"kind":2},{"name":"market.price","version":2,"kind":4}]`))
	f.Add([]byte(`[{"name":"a","version":1,"kind":2,"contentType":"application/json","digest":"d","schema":"s","descriptors":"AA==","parts":[{"role":"query"}]}]`))
	f.Add([]byte(`[{},7,{"name":"a","version":9223372036854775807,"kind":255}]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := decode[bus.MenuEntry](data)
		plain, plainErr := decode[line](data)
		if plainErr != nil {
			if err == nil {
				t.Fatalf("read with schemas, and not without: %v", plainErr)
			}
			return
		}
		var m Menu
		for _, l := range plain {
			if err := bus.CheckDescription(l.Description()); err != nil {
				t.Fatal(err)
			}
			m = append(m, Entry{l.Description(), l.ContentType, l.Digest, []string{"1"}})
		}
		if once := merge(m); !equal(merge(once, once), once) || !slices.IsSortedFunc(once, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatalf("%v and itself make %v", once, merge(once, once))
		}
		if err != nil || len(all) == 0 {
			return
		}
		again, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode[bus.MenuEntry](again)
		if err != nil || !reflect.DeepEqual(normal(back), normal(all)) {
			t.Fatalf("%+v was written as %s and read as %+v, %v", all, again, back, err)
		}
	})
}

// normal has nothing for what is empty.
func normal(all []bus.MenuEntry) []bus.MenuEntry {
	for i := range all {
		if len(all[i].Descriptors) == 0 {
			all[i].Descriptors = nil
		}
		if len(all[i].Parts) == 0 {
			all[i].Parts = nil
		}
	}
	return all
}
