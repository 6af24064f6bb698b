// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"sync"
)

// An Ahead is for who takes the updates of a stream on another goroutine than the
// one that reads them, before the reader comes for them. It keeps what the reader
// is told true: [Info.Reached] is of what was read, not of what was taken. It is
// plumbing for the kinds, as in kind.go.
type Ahead struct {
	mu    sync.Mutex // guards the fields below
	taken placed     // where the goroutine that takes stands; nil before it is known
	bases []uint64   // of what was taken and is not read: positions before it
}

// placed is what stands somewhere in the source of a stream's updates.
type placed interface{ place() place }

type aheadKey struct{}

// TakenAhead returns a context to open such a stream with. Its updates are values
// of their own even where a codec is [Reusing]. On a server its [Source] speaks to
// nobody, as the engine does not take what the source yields.
func TakenAhead(ctx context.Context) (context.Context, *Ahead) {
	a := new(Ahead)
	outer, _ := ctx.Value(infoKey{}).(func(Info))
	ctx = context.WithValue(ctx, infoKey{}, func(i Info) {
		i = a.info(i)
		if outer != nil {
			outer(i)
		}
	})
	return withSource(context.WithValue(ctx, aheadKey{}, true), nil), a
}

// IsTakenAhead reports whether ctx is of [TakenAhead].
func IsTakenAhead(ctx context.Context) bool {
	ahead, _ := ctx.Value(aheadKey{}).(bool)
	return ahead
}

// info returns i with the place of the reader in the place of the taker's.
func (a *Ahead) info(i Info) Info {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken = i.progress
	if a.taken != nil {
		i.progress = a
	}
	return i
}

// Took notes that something was taken that is to be read by itself.
func (a *Ahead) Took() {
	a.mu.Lock()
	defer a.mu.Unlock()
	base := uint64(0)
	if a.taken != nil {
		base = a.taken.place().position
	}
	a.bases = append(a.bases, base)
}

// Read notes that the first that was taken and not read is read.
func (a *Ahead) Read() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bases = append(a.bases[:0], a.bases[1:]...)
}

// Tells has the [Break] that err may be speak of the reader, too.
func (a *Ahead) Tells(err error) {
	if b, ok := errors.AsType[*Break](err); ok && b.Info != nil {
		info := a.info(*b.Info)
		b.Info = &info
	}
}

func (a *Ahead) place() place {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken == nil {
		return place{}
	}
	at := a.taken.place()
	if len(a.bases) > 0 {
		at.position, at.known = a.bases[0], false
	}
	return at
}
