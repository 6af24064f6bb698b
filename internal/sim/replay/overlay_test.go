// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durabus/durabus/internal/sim"
)

func TestTheEditsFitTheReleaseThatTheyWereMadeFor(t *testing.T) {
	root, version, err := toolchain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = edited(edits, root, version)
	if err != nil && (strings.HasPrefix(version, madeFor) || !strings.Contains(err.Error(), madeFor)) {
		t.Error(err)
	}
}

func TestAnEditThatDoesNotFitIsRefusedByName(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "src", "runtime", "rand.go")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("one one two"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []edit{
		swap("runtime/rand.go", "one", "1"),
		swap("runtime/rand.go", "three", "3"),
		swap("runtime/gone.go", "one", "1"),
	} {
		_, err := edited([]edit{wrong}, root, "go9.9")
		if err == nil || !strings.Contains(err.Error(), "go9.9") || !strings.Contains(err.Error(), madeFor) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	got, err := edited([]edit{swap("runtime/rand.go", "two", "2"), {"runtime/rand.go", "one", "1", 2}}, root, "go9.9")
	if err != nil || got["runtime/rand.go"] != "1 1 2" {
		t.Error(got, err)
	}
}

func TestReplaysThatDifferAreTold(t *testing.T) {
	of := task{first: 7, count: 2}
	played := func(sums map[uint64]uint64) replays { return replays{sums: sums} }
	same, other := map[uint64]uint64{7: 1, 8: 2}, map[uint64]uint64{7: 1, 8: 3}
	for name, tt := range map[string]struct {
		orders []replays
		ok     bool
	}{
		"equal":    {[]replays{played(same), played(same), played(map[uint64]uint64{7: 1})}, true},
		"in order": {[]replays{played(same), played(other), played(map[uint64]uint64{7: 1})}, false},
		"alone":    {[]replays{played(same), played(same), played(map[uint64]uint64{7: 9})}, false},
		"unplayed": {[]replays{played(same), played(same), played(nil)}, false},
	} {
		if err := compare(of, tt.orders); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A process that plays is a shell script here.
func player(t *testing.T, script string) task {
	file := filepath.Join(t.TempDir(), "player")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return task{program: file, first: 1, count: 3, cores: 2}
}

const playsAll = `
seed=$DURABUS_SIM_FIRST
while [ $seed -lt $((DURABUS_SIM_FIRST + DURABUS_SIM_COUNT)) ]; do
	[ $seed = "$DIES" ] && exit 2
	echo '` + sim.LineMark + `{"Seed":'$seed',"Broken":0,"Report":{"Schedules":1,"Faults":5}}'
	seed=$((seed + 1))
done
`

func TestAProcessThatDiesCountsAgainstItsSeedAlone(t *testing.T) {
	all := &tally{next: 1, end: 4}
	dies := player(t, "DIES=2\n"+playsAll)
	for all.some(t.Context(), dies) {
	}
	if all.broken != 1 || all.played != 3 || all.report.Schedules != 2 || all.report.Faults != 10 {
		t.Errorf("%+v", all)
	}
	if err := all.total(dies, 1); err == nil {
		t.Error("the soak passes")
	}
}

func TestASoakPlaysEverySeedOnce(t *testing.T) {
	if err := soak(t.Context(), player(t, playsAll)); err != nil {
		t.Error(err)
	}
	if err := soak(t.Context(), player(t, "exit 0")); err == nil {
		t.Error("a process that played nothing passes")
	}
}
