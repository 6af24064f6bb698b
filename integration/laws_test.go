// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/kindtest"
)

func TestTheLawsHoldOverNATS(t *testing.T) {
	kindtest.Laws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller { return pair(t, handlers...) })
}

func TestTheLawsHoldForSharedStreamsOverNATS(t *testing.T) {
	kindtest.SharedLaws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller { return pair(t, handlers...) })
}
