// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
)

func runConfig(t *testing.T, config string) (url string) {
	t.Helper()
	return broker.Run(t, broker.Options{Config: config}).URL()
}

// An issuer is an operator with one account.
type issuer struct {
	operator, account nkeys.KeyPair
	claims            *jwt.AccountClaims
	srv               *broker.Server
	dir               string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{dir: t.TempDir()}
	i.operator, i.account = must(nkeys.CreateOperator()), must(nkeys.CreateAccount())
	operator := must(jwt.NewOperatorClaims(must(i.operator.PublicKey())).Encode(i.operator))
	must(0, os.WriteFile(filepath.Join(i.dir, "operator.jwt"), []byte(operator), 0o600))
	i.claims = jwt.NewAccountClaims(must(i.account.PublicKey()))
	config := conf(t, "jwt.conf", "$ACCOUNT_PUBLIC", i.claims.Subject, "$ACCOUNT_JWT", must(i.claims.Encode(i.operator)))
	i.srv = broker.Run(t, broker.Options{Config: strings.ReplaceAll(config, "/etc/nats", i.dir)})
	return i
}

// must is for keys and files of the test's own.
func must[T any](v T, err ...error) T {
	for _, err := range err {
		if err != nil {
			panic(err)
		}
	}
	return v
}

// issue writes name.creds, which end after d, and returns whose they are and when
// they have ended: within the second of their end the broker takes them or not.
func (i *issuer) issue(name string, d time.Duration) (public string, ended time.Time, login nats.Option) {
	user := must(nkeys.CreateUser())
	claims := jwt.NewUserClaims(must(user.PublicKey()))
	claims.Expires = time.Now().Add(d).Unix()
	if name == "alice" {
		claims.Pub.Allow = jwt.StringList{"market.price.*", "_D.c.*.*.*", "_D.m.market.price.*"}
		claims.Sub.Allow = jwt.StringList{"_INBOX.alice.>", "_D.a.market.price"}
	}
	creds := must(jwt.FormatUserConfig(must(claims.Encode(i.account)), must(user.Seed())))
	path := filepath.Join(i.dir, name+".creds")
	must(0, os.WriteFile(path, creds, 0o600))
	return claims.Subject, time.Unix(claims.Expires+1, 0), nats.UserCredentials(path)
}

// revoke ends what the account has issued to a user until now.
func (i *issuer) revoke(public string) {
	i.claims.Revoke(public)
	encoded := must(i.claims.Encode(i.operator))
	nats := i.srv.NATS()
	must(0, nats.AccountResolver().Store(i.claims.Subject, encoded))
	nats.UpdateAccountClaims(must(nats.LookupAccount(i.claims.Subject)), i.claims)
}

// told keeps what the broker says.
func told(words chan<- error) nats.Option {
	return nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case words <- err:
		default:
		}
	})
}

// hears waits until the broker says one of these.
func hears(ctx context.Context, t *testing.T, words <-chan error, these ...string) {
	t.Helper()
	var said []error
	for {
		select {
		case err := <-words:
			said = append(said, err)
			if slices.ContainsFunc(these, func(s string) bool { return strings.Contains(strings.ToLower(err.Error()), s) }) {
				return
			}
		case <-ctx.Done():
			t.Errorf("the broker said %v", said)
			return
		}
	}
}

func TestTheOperatorsCredentialsEndAndAreTakenBack(t *testing.T) {
	for name, end := range map[string]func(i *issuer, public string){
		"they expire":      func(*issuer, string) {},
		"they are revoked": func(i *issuer, public string) { i.revoke(public) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			_, _, asPricer := i.issue("pricer", time.Hour)
			servePricing(t, connect(t, i.srv.URL(), asPricer), bus.Service{})
			life := time.Hour
			if strings.Contains(name, "expire") {
				life = 5 * time.Second
			}
			public, ended, asAlice := i.issue("alice", life)
			words := make(chan error, 64)
			nc := connect(t, i.srv.URL(), asAlice, nats.CustomInboxPrefix("_INBOX.alice"), told(words))
			c := bus.NewClient(nc, bus.ClientOptions{})
			t.Cleanup(func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
			if life == time.Hour {
				callsPricing(t, c)
				soon(t, atOnce, do(c, ""), bus.Denied, "no permission to publish to work.do.v1")
			} else if got, err := quoteRPC.Client(c)(t.Context(), ""); (got != "for " || err != nil) && time.Until(ended) > time.Second {
				t.Errorf("before they expire: %q, %v", got, err)
			}

			end(i, public)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if life == time.Hour {
				ended = time.Now()
			}
			for time.Now().Before(ended) || !nc.IsReconnecting() {
				pace(ctx, 5*time.Millisecond)
				if ctx.Err() != nil {
					t.Fatal("the broker did not close the connection")
				}
			}
			soon(t, atOnce, func(ctx context.Context) error { _, err := quoteRPC.Client(c)(ctx, ""); return err }, bus.Disconnected)
			hears(ctx, t, words, "authentication expired", "authentication revoked")

			i.issue("alice", time.Hour) // as an agent that renews the file
			got, err := quoteRPC.Client(c)(ctx, "")
			for ; errors.Is(err, bus.Disconnected) && ctx.Err() == nil; got, err = quoteRPC.Client(c)(ctx, "") {
				pace(ctx, 5*time.Millisecond)
			}
			if got != "for " || err != nil {
				t.Errorf("with new credentials: %q, %v", got, err)
			}
		})
	}
}
