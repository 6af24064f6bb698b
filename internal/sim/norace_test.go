// SPDX-License-Identifier: Apache-2.0

//go:build !race

package sim_test

const (
	schedules      = 2000
	realSchedules  = 100
	aloneSchedules = 50
)
