// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/durabus/durabus/bus"
)

// An authority signs certificates.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority writes ca.pem to dir.
func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{dir: dir}
	a.cert, a.key = a.issue(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes <name>.pem and <name>-key.pem.
func (a *authority) issue(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, name+".pem", "CERTIFICATE", der)
	a.write(t, name+"-key.pem", "EC PRIVATE KEY", secret)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client returns the options of one who shows a certificate for address.
func (a *authority) client(t *testing.T, name, address string) nats.Option {
	t.Helper()
	a.issue(t, name, &x509.Certificate{EmailAddresses: []string{address}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return nats.ClientCert(filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem"))
}

func TestTheOperatorsCertificatesSayWhoComesIn(t *testing.T) {
	ca, strangers := newAuthority(t, t.TempDir()), newAuthority(t, t.TempDir())
	ca.issue(t, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	config := strings.ReplaceAll(conf(t, "tls.conf"), "/etc/nats", ca.dir)
	url := runConfig(t, config)
	root := nats.RootCAs(filepath.Join(ca.dir, "ca.pem"))

	servePricing(t, connect(t, url, root, ca.client(t, "pricer", "pricer@example.com")), bus.Service{})
	alice := ca.client(t, "alice", "alice@example.com")
	c := client(t, url, root, alice, nats.CustomInboxPrefix("_INBOX.alice"), as(""))
	callsPricing(t, c)
	soon(t, atOnce, do(c, ""), bus.Denied, "no permission to publish to work.do.v1")

	for name, options := range map[string][]nats.Option{
		"no certificate":                     {root},
		"one of another authority":           {root, strangers.client(t, "alice", "alice@example.com")},
		"one of nobody the broker knows":     {root, ca.client(t, "eve", "eve@example.com")},
		"an authority the broker is not of":  {nats.RootCAs(filepath.Join(strangers.dir, "ca.pem")), alice},
		"no trust in the broker's authority": {alice},
		"an old version of TLS":              {root, alice, oldTLS},
	} {
		if nc, err := nats.Connect(url, append(options, as(""))...); err == nil {
			nc.Close()
			t.Errorf("who has %s is let in", name)
		}
	}
}

func oldTLS(o *nats.Options) error {
	o.TLSConfig.MaxVersion = tls.VersionTLS11
	return nil
}

// nkey makes a user's key pair.
func nkey(t *testing.T) (public string, login nats.Option) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err = pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public, nats.Nkey(public, pair.Sign)
}

func TestTheOperatorsKeysSayWhoComesIn(t *testing.T) {
	alice, asAlice := nkey(t)
	pricer, asPricer := nkey(t)
	_, asEve := nkey(t)
	url := operated(t, "nkeys.conf", "$ALICE_PUBLIC", alice, "$PRICER_PUBLIC", pricer)
	servePricing(t, connect(t, url, asPricer), bus.Service{})
	c := client(t, url, asAlice, nats.CustomInboxPrefix("_INBOX.alice"), as(""))
	callsPricing(t, c)
	soon(t, atOnce, do(c, ""), bus.Denied, "no permission to publish to work.do.v1")
	if nc, err := nats.Connect(url, asEve); !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Errorf("who has another key: %v", err)
	}
	eve := client(t, url, asEve, as(""))
	soon(t, atOnce, func(ctx context.Context) error { _, err := quoteRPC.Client(eve)(ctx, ""); return err }, bus.Disconnected)
}
