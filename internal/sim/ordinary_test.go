// SPDX-License-Identifier: Apache-2.0

//go:build !simreplay

package sim_test

import "testing"

// howToReplay a seed that failed with the scheduling of this build, which does not
// come again by itself: it mostly fails in the other build too, and there always.
const howToReplay = "make replay SEED=%[1]d, exactly, if it fails there too; or, perhaps, DURABUS_SIM_FIRST=%[1]d DURABUS_SIM_COUNT=1 GOMAXPROCS=1 go test ./internal/sim"

func exactly(_ *testing.T, _ uint64, do func()) { do() }
