// SPDX-License-Identifier: Apache-2.0

// Package soak keeps a fleet of processes under load while brokers, responders
// and the network between them fail, and holds what happens against what is
// promised: a cluster of three nats-servers, a leaf node, a second cluster behind
// a gateway and a second account, all of them processes, as are the responders
// and the callers, which are this package's test binary in another role.
//
// `go test` lasts a few seconds. With DURABUS_SOAK=10m it lasts so long, has every
// kind of fault, and prints a table of what it measured.
package soak
