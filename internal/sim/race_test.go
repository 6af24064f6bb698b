// SPDX-License-Identifier: Apache-2.0

//go:build race

package sim_test

const (
	schedules      = 200
	realSchedules  = 20
	aloneSchedules = 20
)
