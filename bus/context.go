// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"maps"
	"time"
)

type (
	metadataKey struct{}
	infoKey     struct{}
	incomingKey struct{}
	resumeKey   struct{}
)

// WithMetadata returns a context whose calls carry md besides what ctx carries.
func WithMetadata(ctx context.Context, md Metadata) context.Context {
	all := Metadata{}
	if old, ok := ctx.Value(metadataKey{}).(Metadata); ok {
		maps.Copy(all, old)
	}
	maps.Copy(all, md)
	return context.WithValue(ctx, metadataKey{}, all)
}

// WithInfo returns a context whose next call fills info before it returns,
// whether it succeeds or not. Use it for one call at a time.
func WithInfo(ctx context.Context, info *Info) context.Context {
	outer, _ := ctx.Value(infoKey{}).(func(Info))
	return context.WithValue(ctx, infoKey{}, func(i Info) {
		*info = i
		if outer != nil {
			outer(i)
		}
	})
}

// Incoming is what a handler may know of a call beside the query.
type Incoming struct {
	RPC      Description // the version the caller used
	CallID   string      // in the logs of both sides
	Metadata Metadata    // from the caller; not to be trusted more than the query
	Identity string      // of the caller: the Service.Identity, for which the broker vouches; else ""
	Reply    Metadata    // to the caller; may be written until the handler returns
}

// pass adds the metadata of a reply that comes from further away, through a
// proxy, to what the proxy itself says.
func (in *Incoming) pass(md Metadata) {
	if in.Reply == nil {
		in.Reply = Metadata{}
	}
	for k, v := range md {
		if _, said := in.Reply[k]; !said {
			in.Reply[k] = v
		}
	}
}

// IncomingCall returns the call that a handler's context belongs to. Outside a
// server it returns an empty one, so that handlers can be called as functions.
func IncomingCall(ctx context.Context) *Incoming {
	if in, ok := ctx.Value(incomingKey{}).(*Incoming); ok {
		return in
	}
	return &Incoming{Reply: Metadata{}}
}

// WithIncoming returns a context for calling a handler in a test.
func WithIncoming(ctx context.Context, in *Incoming) context.Context {
	return context.WithValue(ctx, incomingKey{}, in)
}

// A Resume says how interrupted streams are taken up again. Its zero value does
// it at once, and again after 20 ms each where that fails.
type Resume struct {
	// Wait is the delay before attempt n, counted from 1.
	Wait func(n int) time.Duration

	// Admit waits until an attempt may be made, after whose end leave is called.
	// It reports false if ctx was done first.
	Admit func(ctx context.Context) (leave func(), ok bool)

	// Anew says that the stream takes the place of one that was open before, for
	// [Counters.Refetched].
	Anew bool
}

// WithResume returns a context whose streams, where the responder keeps a
// backlog, are taken up again after an interruption. Their opening is sent once
// and fails after a second without a sign: whoever asked for the context makes
// another, and knows of each. Package durable uses it.
func WithResume(ctx context.Context, r Resume) context.Context {
	return context.WithValue(ctx, resumeKey{}, r)
}

func (r Resume) wait(n int) time.Duration {
	switch {
	case r.Wait != nil:
		return r.Wait(n)
	case n == 1:
		return 0
	}
	return retryUntaken[len(retryUntaken)-1]
}

func (r Resume) admit(ctx context.Context) (leave func(), ok bool) {
	if r.Admit == nil {
		return func() {}, true
	}
	return r.Admit(ctx)
}
