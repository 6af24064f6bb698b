// SPDX-License-Identifier: Apache-2.0

// Package integration tests the module on real brokers: embedded NATS servers,
// alone and in a cluster, with faults in the network between, and separate
// processes that are killed. Brokers of other versions are processes too: see
// .ci/brokers.
package integration
