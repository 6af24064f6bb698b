// SPDX-License-Identifier: Apache-2.0

// Package sim runs the real engine, clients and responders of every kind of
// call, on a simulated cluster of brokers in virtual time, does to it what a seed
// says, and checks the promises of the module at every event.
//
// A schedule is one seed: it decides how many brokers, responders and callers
// there are, how late each message is, what breaks when, who is slow, who comes
// and goes, and which versions are served. [Run] plays one, inside a
// testing/synctest bubble.
//
// # What is checked
//
//   - I1: the reader of a pipe gets what its handler yielded, whole, or the
//     beginning of it and an error; of a shared pipe all from where he came in.
//   - I2: a durable state, shared or not, equals its source at the position it is
//     at, and once nothing breaks any more it becomes equal to the newest.
//   - I3: every call ends; a handler runs at most once for a call that is not
//     idempotent, and not for one that was too old when it came or whose deadline
//     has passed, by the rule of docs/protocol.md («Age»); an answer is that of its
//     call; no call ends for want of a version that somebody serves whom nothing
//     happens to.
//   - I4: a caller and a responder that nothing happens to go on with one another, their
//     pipes to the end, whatever happens to the others; nobody ever holds more than
//     its bounds, nor has more credit than the other end gave.
//   - I5: when a process has died, each of the others that is left alone has
//     nothing of it any more after a bound; when all have left nobody holds
//     anything, and there is no subscription and no goroutine.
//
// # What may happen
//
// The brokers promise what NATS promises: at most once, and in order from one
// connection to one subscription. Messages and subscriptions take time, also
// between brokers. Connections are cut, with what is on its way or after it; hang
// and go on, or hang and are cut; are cut by a broker that holds too much for
// them; come back at another broker. A caller's socket takes so much and no more.
// Brokers lose sight of one another, and what was on its way between them, and
// nobody is told. One that is alone restarts. Sources are replaced by others while
// they are watched.
// Processes die, leave, come with other versions, are replaced one by one by those
// of the next version, stop and go on, and their clocks jump.
//
// # Beside it
//
// [RunOn] plays the same schedules on a real broker with nats.go, as far as one
// broker can, and [RunAlone] on one simulated broker, to be compared with it. There
// no process is stopped, vanishes or has its clock jump.
//
// # Replays
//
// What the network and the workloads do is drawn from the seed and from who does
// it for which time, never from a shared source of chance: a replay makes the
// same decisions as long as the same things happen. What is left is Go's:
// goroutines, select, maps, and the engine's own ids and random delays. As it
// comes, two runs of one seed may differ in the order of what happens in the same
// instant. On the runtime that internal/sim/replay builds they do not differ at
// all: `make replay`, `make replay-check`, `make soak`.
package sim
