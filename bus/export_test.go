// SPDX-License-Identifier: Apache-2.0

package bus

// The engine on any transport, for tests on the simulated one.
var (
	NewClientOn = newClient
	ServeOn     = serve
)
