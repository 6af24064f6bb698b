// SPDX-License-Identifier: Apache-2.0

//go:build !race

package versioned

import (
	"context"
	"testing"
)

// The race detector makes pools forget, so this test is not for it.
func TestChoosingAllocatesNothing(t *testing.T) {
	ctx := t.Context()
	plain := testing.AllocsPerRun(100, calling(ctx, two.Client(silent{})))
	family := testing.AllocsPerRun(100, calling(ctx, New(three, two).Client(silent{[]int{1, 2}})))
	if family > plain {
		t.Errorf("a call of the version costs %v allocations, of the family %v", plain, family)
	}
}

func calling(ctx context.Context, f v2) func() {
	return func() { _, _ = f(ctx, "1") }
}
