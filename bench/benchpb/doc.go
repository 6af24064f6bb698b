// SPDX-License-Identifier: Apache-2.0

// Package benchpb has the messages of the benchmarks.
package benchpb

//go:generate go -C ../../internal/tools run ./protogen ../../bench/benchpb/bench.proto ../../bench/benchpb/bench.pb.go
