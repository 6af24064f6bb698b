// SPDX-License-Identifier: Apache-2.0

package main

// madeFor is the release whose sources the edits below were made for.
const madeFor = "go1.26"

// An edit replaces a text in a file of the toolchain, in which it must be a number
// of times.
type edit struct {
	file, old, new string
	times          int
}

func swap(file, old, new string) edit { return edit{file, old, new, 1} }

// insert adds text after a line.
func insert(file, line, text string) edit {
	return edit{file, line + "\n", line + "\n" + text + "\n", 1}
}

// edits leave nothing to chance, as far as goroutines in a bubble notice it. What
// is drawn comes from one sequence (replayNext) where it is drawn as often in every
// replay. Where it is not, because something is made once in a process, it is a
// constant or a function of the moment.
var edits = []edit{
	// math/rand's global sources.
	swap("math/rand/rand.go", "//go:linkname runtime_rand runtime.rand\n", "//go:linkname runtime_rand runtime.replayRand\n"),
	swap("math/rand/v2/rand.go", "//go:linkname runtime_rand runtime.rand\n", "//go:linkname runtime_rand runtime.replayRand\n"),

	// The choice of a select, and the order of timers that are due at once.
	swap("runtime/select.go", "j := cheaprandn(uint32(norder + 1))", "j := replayBelow(uint32(norder + 1))"),
	swap("runtime/time.go", "t.rand = cheaprand()", "t.rand = replayBelow(1<<32 - 1)"),

	// The order in which a select takes its timers, which is that of their channels in
	// memory. A timer that is taken draws, unless it still lies among the others, and
	// tidies those.
	swap("runtime/select.go", "\t\tif c.timer != nil {\n\t\t\tblockTimerChan(c)\n\t\t}\n\t}\n\n\t// wait for someone to wake us up\n",
		"\t\tif c.timer != nil && !replaying(gp) {\n\t\t\tblockTimerChan(c)\n\t\t}\n\t}\n"+
			"\tif replaying(gp) {\n\t\tfor _, casei := range pollorder {\n\t\t\tif c := scases[casei].c; c.timer != nil {\n\t\t\t\tblockTimerChan(c)\n\t\t\t}\n\t\t}\n\t}\n\n"+
			"\t// wait for someone to wake us up\n"),

	// The order of maps: how keys are hashed, the seed of each map, and where an
	// iteration begins.
	swap("runtime/alg.go", "hashkey[i] = uintptr(bootstrapRand())", "hashkey[i] = uintptr(i+1) * 0x9e3779b9"),
	swap("runtime/alg.go", "key[i] = bootstrapRand()", "key[i] = uint64(i+1) * 0x9e3779b97f4a7c15"),
	insert("runtime/rand.go", "func rand() uint64 {", "\tif replaying(getg().m.curg) {\n\t\treturn 1\n\t}"),
	swap("internal/sync/hashtriemap.go", "ht.seed = uintptr(runtime_rand())", "ht.seed = 1"),
	swap("internal/runtime/maps/table.go", "it.entryOffset = rand()", "it.entryOffset = replayOffset(m.used)"),
	swap("internal/runtime/maps/table.go", "it.dirOffset = rand()", "it.dirOffset = it.entryOffset >> 32"),

	// Where memory lies is chance: pointers have one hash, so that those that are
	// keys lie in a map in the order in which they came. Keys of one hash cannot be
	// split into several tables.
	{"internal/runtime/maps/map.go", "hash := typ.Hasher(", "hash := replayHasher(typ)(", 5},
	{"internal/runtime/maps/runtime.go", "hash := typ.Hasher(", "hash := replayHasher(typ)(", 3},
	{"internal/runtime/maps/runtime_fast64.go", "hash := typ.Hasher(", "hash := replayHasher(typ)(", 4},
	{"internal/runtime/maps/table.go", "hash := typ.Hasher(", "hash := replayHasher(typ)(", 4},
	swap("internal/runtime/maps/table.go", "const maxTableCapacity = 1024", "const maxTableCapacity = 1 << 15"),
	insert("runtime/alg.go", "func typehash(t *_type, p unsafe.Pointer, h uintptr) uintptr {",
		"\tswitch t.Kind() {\n\tcase abi.Pointer, abi.Chan, abi.UnsafePointer:\n\t\treturn h\n\t}"),

	// The scheduler: a goroutine runs until it waits, and the next is the next in
	// the queue, whatever else there is to do.
	swap("runtime/proc.go", "if retake(now) != 0 {", "if replay.on.Load() == 0 && retake(now) != 0 {"),
	swap("runtime/proc.go", "\tnow, pollUntil, _ := pp.timers.check(0, nil)\n\n\t// Try to schedule the trace reader.\n",
		"\tif replay.on.Load() != 0 {\n\t\tif gp, inheritTime := runqget(pp); gp != nil {\n\t\t\treturn gp, inheritTime, false\n\t\t}\n\t}\n"+
			"\tnow, pollUntil, _ := pp.timers.check(0, nil)\n\n\t// Try to schedule the trace reader.\n"),

	// A mutex passes to who has waited for a while of real time.
	insert("runtime/sema.go", "func internal_sync_nanotime() int64 {", "\tif gp := getg(); replaying(gp) {\n\t\treturn gp.bubble.now\n\t}"),

	// For speed alone: stacks that need not grow, which took a sixth of the time.
	swap("runtime/stack.go", "var startingStackSize uint32 = fixedStack", "var startingStackSize uint32 = 8 * fixedStack"),
	swap("runtime/stack.go", "if debug.adaptivestackstart == 0 {", "if debug.adaptivestackstart <= 1 {"),
}
