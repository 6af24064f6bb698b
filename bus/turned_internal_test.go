// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"strconv"
	"testing"

	"github.com/durabus/durabus/internal/transport"
)

func TestAClientRemembersSoManyRefusalsAtMost(t *testing.T) {
	b := newMailbox(transport.NewNet(1).Dial())
	subject := func(n int) string { return "name" + strconv.Itoa(n) + ".v1" }
	for n := range maxTurned + 10 {
		if b.avoid(subject(n)); !b.avoids(subject(n)) || len(b.turned) > maxTurned {
			t.Fatalf("after refusal %d, known: %v, %d are remembered", n, b.avoids(subject(n)), len(b.turned))
		}
	}
	for n := range maxTurned + 10 {
		b.welcome(subject(n))
	}
	if len(b.turned) > 0 || b.anyTurned.Load() {
		t.Errorf("%d refusals are remembered of subjects that are served again", len(b.turned))
	}
}
