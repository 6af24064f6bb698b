// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"reflect"
	"testing"
)

func TestTheDocumentHasTheCountersOfTheCodeAndWhatIsLogged(t *testing.T) {
	counters := reflect.TypeFor[Counters]()
	var want [][2]string
	for i := range counters.NumField() {
		f := counters.Field(i)
		if f.Name == "Dropped" {
			want = append(want, [2]string{f.Tag.Get("json"), "dropped: and why"})
			continue
		}
		var all troubles
		for what := range troubleKinds {
			all.counts[what].Store(uint64(what) + 1)
		}
		what := trouble(reflect.ValueOf(all.all()).Field(i).Uint() - 1)
		want = append(want, [2]string{f.Tag.Get("json"), troubleRecords[what].text})
	}
	compareIn(t, "docs/operations.md", "## What goes wrong", want)
}
