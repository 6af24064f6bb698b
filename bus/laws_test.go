// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/kindtest"
)

func TestTheLawsHoldOverTheEngine(t *testing.T) {
	kindtest.Laws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller { return dial(t, handlers...) })
}

func TestTheLawsHoldForSharedStreams(t *testing.T) {
	kindtest.SharedLaws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller { return dial(t, handlers...) })
}
