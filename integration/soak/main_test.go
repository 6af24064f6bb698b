// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// With the first variable set the test binary plays a role instead of running
// tests; the second tells it more, as JSON.
const (
	roleVariable = "DURABUS_SOAK_ROLE"
	specVariable = "DURABUS_SOAK_SPEC"
)

// natsServer is the program of all brokers: the module's own nats-server.
var natsServer string

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	folder, err := os.MkdirTemp("", "durabus-soak-")
	if err != nil {
		panic(err)
	}
	natsServer = filepath.Join(folder, "nats-server")
	if out, err := exec.Command("go", "build", "-o", natsServer, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building nats-server: %v\n%s", err, out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(folder) // it is temporary
		os.Exit(code)
	}))
}

// play is the life of a process in a role. It ends with its standard input, and so
// with the conductor at the latest.
func play(role string) int {
	roles := map[string]func(spec []byte) error{
		"caller": beCaller, "responder": beResponder, "undertaker": beUndertaker, "conductor": beConductor, "feeder": beFeeder, "watcher": beWatcher,
	}
	if err := roles[role]([]byte(os.Getenv(specVariable))); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}

// untilInputEnds is closed when the conductor has no more to say.
func untilInputEnds() <-chan struct{} {
	over := make(chan struct{})
	go func() { // as long as the process lives
		defer close(over)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return over
}

// decode reads the spec of a role.
func decode[S any](spec []byte) (s S, err error) {
	err = json.Unmarshal(spec, &s)
	return s, err
}
