// SPDX-License-Identifier: Apache-2.0

// Package micro is the pure part of the NATS services protocol (ADR-32): it
// names the control subjects of one service, keeps the figures of its endpoints
// and writes the answers to PING, INFO and STATS. It has no connection and
// starts no goroutine; whoever subscribes to [Service.Subjects] publishes what
// [Service.Answer] returns. Answers are the types of nats.go's micro package,
// so that every tool for NATS services reads them.
//
// A request counts at its verdict, and its processing time ends there: for a
// stream when it is accepted or rejected, not when its last update is sent.
// What goes on after the verdict stands in the endpoint's [Data].
package micro
