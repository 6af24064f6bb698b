// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	host          = "127.0.0.1"
	startTimeout  = 30 * time.Second
	vacateTimeout = 5 * time.Second
)

// Options say how a broker differs from nats-server's defaults. The zero value
// is a broker on a free port that lets everybody in and logs nothing.
type Options struct {
	Port int // 0: a free one, kept until Close

	// InProcess has the broker listen to nothing: clients come by [Server.Dial]
	// alone, and URL leads nowhere. Such a broker runs inside a testing/synctest
	// bubble too. nats.go keeps timers for later, which another bubble must not
	// take: call runtime.GC twice between two bubbles.
	InProcess bool

	// Users, if there are any, are the only ones let in.
	Users []User

	// Config is text in nats-server's configuration language, for what the other
	// fields cannot say: accounts with exports and imports, for example. The host
	// and the port are not its to choose.
	Config string

	// Configure, if not nil, has the last word on the options of each start. It
	// must give each start values of its own, since nats-server keeps them.
	Configure func(*server.Options)

	Log *slog.Logger // nil: nothing is logged
}

// A Server is nats-server inside this process, on the loopback interface. It
// may be called from several goroutines.
type Server struct {
	opts Options
	port port
	node *node // nil outside a cluster

	mu   sync.Mutex
	nats *server.Server // the one that runs, or ran last
}

// Start starts a broker and returns when it accepts connections. The caller
// closes it.
func Start(opts Options) (*Server, error) {
	s, err := newServer(opts)
	if err != nil {
		return nil, err
	}
	if err := s.launch(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Run is Start for tests: it fails the test if there is an error, and closes
// the broker when the test is over.
func Run(t TB, opts Options) *Server {
	t.Helper()
	s, err := Start(opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(s.Close)
	return s
}

func newServer(opts Options) (*Server, error) {
	if opts.Port != 0 || opts.InProcess {
		return &Server{opts: opts, port: port{number: opts.Port}}, nil
	}
	p, err := takePort()
	return &Server{opts: opts, port: p}, err
}

// Dial returns a connection within the process, for nats.InProcessServer or a
// net.Conn around it. It holds nothing: who writes waits for who reads. It fails
// while the broker is down.
func (s *Server) Dial() (net.Conn, error) {
	return s.NATS().InProcessConn()
}

// URL is where clients connect; it stays the same over Restart.
func (s *Server) URL() string { return "nats://" + s.port.address() }

// NATS returns the nats-server that runs or, after Stop and Kill, ran last. Each
// Restart makes another one.
func (s *Server) NATS() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nats
}

// Running reports whether the broker accepts connections.
func (s *Server) Running() bool { return s.NATS().Running() }

// Stop ends the broker as an operator does: it announces lame duck mode to its
// clients, writes out what it has for them, and closes their connections one
// after the other, within 100 ms where Configure sets no other duration. It
// returns when all is closed. A broker that is down stays as it is.
func (s *Server) Stop() {
	s.NATS().LameDuckShutdown()
	s.Kill()
}

// Kill ends the broker without a word to anybody: it stops reading and closes
// the listener and all connections. It returns when all is closed.
//
// Unlike SIGKILL it cannot take away what the broker has queued for a client:
// whatever the client's socket takes within 100 ms still arrives. Where that
// must be lost too, let the client connect through a [Proxy] and cut that first.
func (s *Server) Kill() {
	if nats := s.NATS(); nats != nil { // nil where the first start failed
		nats.Shutdown()
		nats.WaitForShutdown()
	}
}

// Restart starts the broker again on the same port, with the same options, and
// returns when it accepts connections and, as a node of a cluster, has its
// routes. One that still runs is killed first. Its counts begin at zero.
func (s *Server) Restart() error {
	s.Kill()
	if err := s.launch(); err != nil {
		return err
	}
	if s.node == nil {
		return nil
	}
	return s.node.cluster.awaitRoutes()
}

// Close ends the broker as Kill does, and for good: its port may be another's.
func (s *Server) Close() {
	s.Kill()
	s.port.release()
	if s.node != nil {
		s.node.port.release()
	}
}

// Connections returns how many clients are connected.
func (s *Server) Connections() int { return s.NATS().NumClients() }

// Subscriptions returns how many subscriptions the clients of this broker hold,
// without the broker's own and those of other nodes.
func (s *Server) Subscriptions() int {
	conns, err := s.NATS().Connz(&server.ConnzOptions{Limit: math.MaxInt32})
	if err != nil {
		return 0 // not for these options
	}
	n := 0
	for _, c := range conns.Conns {
		n += int(c.NumSubs)
	}
	return n
}

// Traffic counts messages, and bytes of headers and payloads, since the start.
type Traffic struct {
	InMsgs, InBytes   int64 // published by clients
	OutMsgs, OutBytes int64 // delivered to clients
}

// Traffic returns what went between the broker and its clients since it started.
// What clients have sent but the broker has not read is not in it.
func (s *Server) Traffic() Traffic {
	v, err := s.NATS().Varz(nil)
	if err != nil {
		return Traffic{} // Varz has no error to return
	}
	return Traffic{
		InMsgs: v.InClientMsgs, InBytes: v.InClientBytes,
		OutMsgs: v.OutClientMsgs, OutBytes: v.OutClientBytes,
	}
}

// launch starts a nats-server. If it returns an error nothing is left running.
//
// Also a port that belongs to the broker may be in use for a moment: a process
// that this one is about to start has all of its sockets until it runs its own
// program.
func (s *Server) launch() error {
	ctx, cancel := context.WithTimeout(context.Background(), vacateTimeout)
	defer cancel()
	var err error
	_ = poll(ctx, func() bool {
		err = s.start()
		return err == nil || s.port.owner == nil || !strings.Contains(err.Error(), "address already in use")
	})
	return err
}

// start is one attempt to launch.
func (s *Server) start() error {
	opts, err := s.options()
	if err != nil {
		return err
	}
	nats, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("broker: nats-server refuses its options: %w", err)
	}
	if s.node != nil {
		s.node.setRoutesPerPeer(opts) // before Start, which shares opts with goroutines
	}
	log := newLogger(s.opts.Log)
	nats.SetLoggerV2(log, log.debug, log.trace, false)
	nats.Start()

	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	err = poll(ctx, func() bool { return log.fatal() != nil || nats.ReadyForConnections(time.Millisecond) })
	if err = errors.Join(log.fatal(), err); err != nil {
		nats.Shutdown()
		nats.WaitForShutdown()
		return fmt.Errorf("broker: nats-server did not start on %s: %w", s.URL(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nats = nats
	return nil
}

// options makes the options of one start.
func (s *Server) options() (*server.Options, error) {
	opts := &server.Options{}
	if s.opts.Config != "" {
		if err := opts.ProcessConfigString(s.opts.Config); err != nil {
			return nil, fmt.Errorf("broker: Options.Config: %w", err)
		}
	}
	opts.Host, opts.Port = host, s.port.number
	opts.DontListen = s.opts.InProcess
	opts.NoSigs = true // the process's signals are not the broker's
	if opts.LameDuckDuration == 0 {
		opts.LameDuckDuration, opts.LameDuckGracePeriod = 100*time.Millisecond, 20*time.Millisecond
	}
	// Clients know the addresses they were given, and no others: one behind a
	// proxy must not learn the way round it.
	opts.Cluster.NoAdvertise = true
	for _, u := range s.opts.Users {
		opts.Users = append(opts.Users, u.server())
	}
	if s.node != nil {
		s.node.configure(opts)
	}
	if s.opts.Configure != nil {
		s.opts.Configure(opts)
	}
	return opts, nil
}
