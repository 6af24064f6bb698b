// SPDX-License-Identifier: Apache-2.0

// Package wirepb is the code that protobuf's own generator makes of frames.proto.
// Only tests import it: they hold package wire to it, byte for byte.
package wirepb

//go:generate go -C ../../tools run ./protogen ../wire/frames.proto ../wire/wirepb/frames.pb.go
