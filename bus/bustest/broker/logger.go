// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// A logger hands nats-server's lines to slog. What nats-server calls fatal does
// not end the process: it is kept as the reason why the start failed.
type logger struct {
	to           *slog.Logger
	debug, trace bool

	mu    sync.Mutex
	cause error // the first fatal line
}

const levelTrace = slog.LevelDebug - 4

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	ctx := context.Background()
	return &logger{to: to, debug: to.Enabled(ctx, slog.LevelDebug), trace: to.Enabled(ctx, levelTrace)}
}

func (l *logger) Noticef(format string, v ...any) { l.log(slog.LevelInfo, format, v) }
func (l *logger) Warnf(format string, v ...any)   { l.log(slog.LevelWarn, format, v) }
func (l *logger) Errorf(format string, v ...any)  { l.log(slog.LevelError, format, v) }
func (l *logger) Debugf(format string, v ...any)  { l.log(slog.LevelDebug, format, v) }
func (l *logger) Tracef(format string, v ...any)  { l.log(levelTrace, format, v) }

func (l *logger) Fatalf(format string, v ...any) {
	l.log(slog.LevelError, format, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.cause = fmt.Errorf(format, v...)
	}
}

func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

func (l *logger) log(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if l.to.Enabled(ctx, level) {
		l.to.Log(ctx, level, fmt.Sprintf(format, v...))
	}
}
