// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/nats-io/nats.go"
)

const defaultServer = "nats://127.0.0.1:4222"

// A target is where the commands that call something look for it.
type target struct {
	server  string
	prefix  string
	timeout time.Duration
}

func (t *target) register(fs *flag.FlagSet) {
	server := os.Getenv("NATS_URL")
	if server == "" {
		server = defaultServer
	}
	fs.StringVar(&t.server, "server", server, "`URL` of the NATS server; by default that of NATS_URL")
	fs.Lookup("server").DefValue = withoutSecrets(server) // as the help says it
	fs.StringVar(&t.prefix, "prefix", "", "`prefix` of the subjects, as the responders have it")
	fs.DurationVar(&t.timeout, "timeout", 5*time.Second, "how long to wait for answers")
}

// login is the part of a NATS server's URL, or of one of several, that lets in.
var login = regexp.MustCompile(`[^/\s,"]+@`)

// withoutSecrets returns a text about servers that may be shown and logged.
func withoutSecrets(text string) string { return login.ReplaceAllString(text, "…@") }

// A session is a connection and a client on it.
type session struct {
	*target
	nc     *nats.Conn
	client *bus.Client

	languages map[int]language // of a watch, by version
}

// connect tries once: a newcomer without a broker is to hear so.
func (t *target) connect() (*session, error) {
	nc, err := bus.Connect(t.server, nats.RetryOnFailedConnect(false), nats.Name("durabus tool"))
	server, why := withoutSecrets(t.server), withoutSecrets(fmt.Sprint(err))
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return nil, failed(exitNoBroker, "the broker at %s does not let us in: %s; give user and password in the URL: -server nats://user:password@host", server, why)
	case err != nil:
		return nil, failed(exitNoBroker, "no broker at %s: %s; start one with 'durabus broker', or name yours with -server URL or NATS_URL", server, why)
	}
	return &session{target: t, nc: nc, client: bus.NewClient(nc, bus.ClientOptions{Prefix: t.prefix})}, nil
}

func (s *session) close() {
	_ = s.client.Close()
	s.nc.Close()
}

func (s *session) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}
