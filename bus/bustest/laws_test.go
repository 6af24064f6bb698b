// SPDX-License-Identifier: Apache-2.0

package bustest_test

import (
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/internal/kindtest"
)

func TestTheLawsHoldOverALink(t *testing.T) {
	kindtest.Laws(t, func(_ *testing.T, handlers ...bus.Handler) bus.Caller {
		return bustest.NewLink(handlers...)
	})
}
