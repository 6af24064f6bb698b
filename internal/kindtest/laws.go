// SPDX-License-Identifier: Apache-2.0

// Package kindtest holds the laws that every kind of RPC keeps over every
// caller: def.Client(dial(def.Handler(f))) behaves as f. Tests import it.
package kindtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
)

// A Dial returns a caller that reaches handlers and nothing else. What it needs
// for that it releases in t.Cleanup.
type Dial func(t *testing.T, handlers ...bus.Handler) bus.Caller

// Laws runs all laws over dial. A law takes fractions of a second; one that is
// broken may take patience. The laws named in except are left out.
func Laws(t *testing.T, dial Dial, except ...string) {
	for _, law := range []struct {
		name string
		run  func(*testing.T, Dial)
	}{
		{"Values", values},
		{"Errors", anyError},
		{"Deadlines", deadlines},
		{"Metadata", metadata},
		{"Info", infoIsFilled},
		{"Codecs", codecs},
		{"Definitions", definitions},
		{"OneWay", oneWay},
		{"Streams", streams},
		{"Elements", elements},
		{"Pushing", pushing},
		{"Versions", versions},
	} {
		if !slices.Contains(except, law.name) {
			t.Run(law.name, func(t *testing.T) { law.run(t, dial) })
		}
	}
}

// patience is how long a law waits for what must happen.
const patience = 10 * time.Second

// within returns a context that ends the test's waiting.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// await waits until happened is closed or has a value.
func await[T any](t *testing.T, happened <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-happened:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not happen within %v", what, patience)
		panic("unreachable")
	}
}

// Runs are those of one handler: one for each call, or more where streams are shared.
type runs struct {
	mu      sync.Mutex // guards the fields below
	begun   int
	running int
	changed chan struct{} // closed when a run has ended
}

// enter notes a run, which is over when ctx is.
func (r *runs) enter(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	r.running++
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running--
		close(r.changed)
		r.changed = make(chan struct{})
	})
}

// over waits until the handler is released. It fails if it never ran.
func (r *runs) over(t *testing.T) {
	t.Helper()
	for {
		r.mu.Lock()
		begun, running, changed := r.begun, r.running, r.changed
		r.mu.Unlock()
		if begun == 0 {
			t.Error("the handler did not run")
		}
		if running == 0 {
			return
		}
		await(t, changed, "the release of the handler")
	}
}

// saw fails the test unless got is want.
func saw[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %.200v, want %.200v", what, got, want)
	}
}

// failed fails the test unless err is an Error of d with this code, whose text
// has every one of words.
func failed(t *testing.T, err error, d bus.Description, code bus.Code, words ...string) *bus.Error {
	t.Helper()
	e, ok := errors.AsType[*bus.Error](err)
	if !ok {
		t.Fatalf("got %#v (%v), want a bus.Error", err, err)
	}
	saw(t, "code of "+e.Error(), e.Code, code)
	saw(t, "RPC of "+e.Error(), e.RPC, d)
	for _, w := range words {
		if !strings.Contains(e.Error(), w) {
			t.Errorf("%q does not say %q", e.Error(), w)
		}
	}
	return e
}
