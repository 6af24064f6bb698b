// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"slices"

	"github.com/durabus/durabus/internal/wire"
)

// maxAwaited is how many sets of versions of one name are waited for: they may
// come from the callers of a proxy.
const maxAwaited = 64

// An awaited is an instance that serves one of versions, whichever it will be.
// All who wait for the same share it.
type awaited struct {
	versions []int
	came     chan struct{}
}

// meet reports whether two lists of versions have one in common.
func meet(a, b []int) bool {
	return slices.ContainsFunc(a, func(v int) bool { return slices.Contains(b, v) })
}

// comes returns a channel that is closed when an instance that serves one of
// versions of name is announced; nil where too much is waited for, or nothing will
// be heard any more. b.mu is held.
func (b *mailbox) comes(name string, versions ...int) <-chan struct{} {
	if b.closed || b.menus[name] == nil && len(b.menus) >= maxHeard {
		return nil
	}
	m := b.menu(name)
	for _, w := range m.awaited {
		if slices.Equal(w.versions, versions) {
			return w.came
		}
	}
	if len(m.awaited) >= maxAwaited {
		return nil
	}
	w := awaited{versions, make(chan struct{})}
	m.awaited = append(m.awaited, w)
	return w.came
}

// awaits is comes for those who do not hold b.mu.
func (b *mailbox) awaits(name string, version int) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.comes(name, version)
}

// Comes returns a channel that is closed when an instance that serves one of
// versions of name is announced, and at once if one is known. It is nil where the
// client cannot know. [Error.Again] is made of it.
func (cl *Client) Comes(name string, versions ...int) <-chan struct{} {
	if cl.err != nil || cl.instance != "" || len(versions) == 0 || checkTokens(name) != "" {
		return nil
	}
	full := wire.FullName(cl.prefix, name)
	b := cl.box
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	for _, served := range b.menu(full).of {
		if meet(served, versions) {
			return here
		}
	}
	return b.comes(full, versions...)
}

// here is the arrival of who has come.
var here = func() <-chan struct{} {
	came := make(chan struct{})
	close(came)
	return came
}()
