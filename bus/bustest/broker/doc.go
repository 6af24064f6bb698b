// SPDX-License-Identifier: Apache-2.0

// Package broker embeds nats-server, alone or as a cluster of three, and breaks
// the network between it and its clients. It is for tests, and for programs that
// carry their own broker; it is the only library package that imports
// nats-server.
//
//	srv := broker.Run(t, broker.Options{})
//	proxy := broker.RunProxy(t, srv.URL())
//	nc, err := nats.Connect(proxy.URL(), nats.MaxReconnects(-1))
//	…
//	proxy.Partition(broker.Both)
//
// # What each fault is in reality
//
//   - [Server.Stop]: an operator's shutdown. Clients are told (lame duck mode)
//     and get what is queued for them.
//   - [Server.Kill]: the process is gone and its host lives. Connections end at
//     once; what clients sent and the broker had not read is lost.
//   - [Server.Restart]: the same address comes back and remembers nothing.
//   - [Proxy.Cut]: a firewall or a load balancer drops its connections. Both
//     sides see a reset; what was on its way is lost.
//   - [Proxy.Partition]: a cable is pulled, a host loses power, a router forgets.
//     No side is told, and only timers notice. One direction alone is a half-open
//     connection.
//   - [Proxy.Freeze]: a peer that does not read (a stopped process, an endless
//     garbage collection), or an outage short enough for TCP to repair. Senders
//     come under back-pressure; nothing is lost.
//   - [Proxy.Delay]: distance.
//   - [Proxy.Limit]: a line that is thin, or full of others' traffic.
//   - [Proxy.Tamper]: no network does this to a TCP connection. It stands for what
//     NATS may do at most once (a message dropped where a connection breaks) and
//     for what a protocol must survive to be trusted (repeats, another order,
//     other bytes), at a message of the test's choice.
//
// Brokers do not tell clients of other addresses (no_advertise), so that a client
// behind a proxy stays there. Configure can change that; then such clients need
// nats.IgnoreDiscoveredServers.
//
// A broker with InProcess has no port, and no proxy before it. Its clients come by
// [Server.Dial], inside a testing/synctest bubble too, where all time is virtual.
//
// A proxy understands the NATS client protocol. Other traffic (TLS, WebSocket)
// passes too and suffers all faults but tampering.
//
// # Ownership
//
// Who starts a Server, Cluster or Proxy closes it; Run, RunCluster and RunProxy
// let the test do that. Close waits for every goroutine.
package broker
