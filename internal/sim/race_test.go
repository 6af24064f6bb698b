// SPDX-License-Identifier: Apache-2.0

//go:build race

package sim_test

const (
	schedules      = 100
	realSchedules  = 20
	aloneSchedules = 20
)
