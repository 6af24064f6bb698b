// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"slices"
	"strconv"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// This file is a protocol library in its third version: two unary RPCs, of which
// one must not be carried out twice, and a state. All programs of the rolling
// upgrades use the types of version 3, and those versions that they are given.

// A ticket is both the query and the answer of the unary RPCs.
type (
	ticket1 = int
	ticket2 struct{ Number int }
	ticket3 struct{ ID int }
)

// A book is the sum of the entries of one source up to a position.
type (
	book1 struct {
		Source string
		Count  int
		Sum    string
	}
	book2 struct {
		Source string
		Count  int
		Sum    uint64
	}
	book3 struct {
		Source   string
		Position int
		Sum      uint64
	}
)

// An entry of version 1 does not say where it belongs.
type (
	entry1 = uint64
	entry2 struct {
		Count int
		Value uint64
	}
	entry3 struct {
		Position int // 0 if not known
		Value    uint64
	}
)

// apply returns b with e.
func apply(b book3, e entry3) book3 {
	b.Position++
	b.Sum = b.Sum*31 + e.Value
	return b
}

// entryOf returns the entry at a position of a source, so that everybody knows
// what each source publishes.
func entryOf(source string, position int) entry3 {
	h := uint64(position) * 0x9E3779B97F4A7C15
	for _, c := range source {
		h = (h ^ uint64(c)) * 0x100000001B3
	}
	return entry3{position, h}
}

type (
	ticketFunc = unaryrpc.Func[ticket3, ticket3]
	bookFunc   = staterpc.Func[struct{}, book3, entry3]
)

var (
	findFamily = tickets("roll.find", true)
	payFamily  = tickets("roll.pay", false)

	books1     = staterpc.RPC[struct{}, book1, entry1]{Name: "roll.book", Version: 1}
	books2     = staterpc.RPC[struct{}, book2, entry2]{Name: "roll.book", Version: 2}
	books3     = staterpc.RPC[struct{}, book3, entry3]{Name: "roll.book", Version: 3}
	bookFamily = versioned.New(books3, versioned.Via(
		versioned.New(books2, versioned.Via(books1,
			staterpc.Convert(all, book1.up, func(e entry1) entry2 { return entry2{Value: e} }),
			staterpc.Convert(all, book2.down, func(e entry2) entry1 { return e.Value }))),
		staterpc.Convert(all, book2.up, func(e entry2) entry3 { return entry3{e.Count, e.Value} }),
		staterpc.Convert(all, book3.down, func(e entry3) entry2 { return entry2{e.Position, e.Value} })))

	// digestRPC returns the book of the instance at an earlier position, or now.
	digestRPC = unaryrpc.RPC[int, book3]{Name: "roll.digest", Version: 1, Idempotent: true}
)

func tickets(name string, idempotent bool) versioned.Family[ticketFunc] {
	one := unaryrpc.RPC[ticket1, ticket1]{Name: name, Version: 1, Idempotent: idempotent}
	two := unaryrpc.RPC[ticket2, ticket2]{Name: name, Version: 2, Idempotent: idempotent}
	three := unaryrpc.RPC[ticket3, ticket3]{Name: name, Version: 3, Idempotent: idempotent}
	up2, down2 := func(n ticket1) ticket2 { return ticket2{n} }, func(t ticket2) ticket1 { return t.Number }
	up3, down3 := func(t ticket2) ticket3 { return ticket3{t.Number} }, func(t ticket3) ticket2 { return ticket2{t.ID} }
	return versioned.New(three, versioned.Via(
		versioned.New(two, versioned.Via(one, unaryrpc.Convert(down2, up2), unaryrpc.Convert(up2, down2))),
		unaryrpc.Convert(down3, up3), unaryrpc.Convert(up3, down3)))
}

func all(q struct{}) struct{} { return q }

func (b book1) up() book2 {
	sum, _ := strconv.ParseUint(b.Sum, 10, 64) // a wrong sum is found by who compares
	return book2{b.Source, b.Count, sum}
}

func (b book2) down() book1 { return book1{b.Source, b.Count, strconv.FormatUint(b.Sum, 10)} }
func (b book2) up() book3   { return book3{b.Source, b.Count, b.Sum} }
func (b book3) down() book2 { return book2{b.Source, b.Position, b.Sum} }

// some is a family with some of its versions.
type some[F any] []bus.Member[F]

func (s some[F]) Members() []bus.Member[F] { return s }

// only leaves f the versions of a release.
func only[F versioned.Func[F]](f versioned.Family[F], versions []int) versioned.Family[F] {
	members := slices.DeleteFunc(f.Members(), func(m bus.Member[F]) bool { return !slices.Contains(versions, m.Version) })
	return versioned.New[F](some[F](members))
}
