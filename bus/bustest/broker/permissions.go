// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A User may connect with a name and a password, and do what is listed. It
// belongs to the global account; users of others are made in Options.Config.
type User struct {
	Name     string
	Password string

	Publish   Subjects
	Subscribe Subjects

	// Responses, if not nil, is nats-server's allow_responses: the user may
	// publish to the reply subject of each message that it receives. Where
	// Publish.Allow is empty it may then publish nothing else.
	Responses *Responses
}

// Subjects are patterns with wildcards. No Allow permits everything that Deny
// does not name; one that is in both is denied. To permit nothing, deny ">".
type Subjects struct {
	Allow []string
	Deny  []string
}

// Responses limit what a User may publish to one reply subject.
type Responses struct {
	Max     int           // messages; 0: one, negative: no limit
	Expires time.Duration // after the request; 0: 2 minutes, negative: never
}

func (u User) server() *server.User {
	p := &server.Permissions{Publish: u.Publish.server(), Subscribe: u.Subscribe.server()}
	if r := u.Responses; r != nil {
		p.Response = &server.ResponsePermission{MaxMsgs: r.Max, Expires: r.Expires}
	}
	return &server.User{Username: u.Name, Password: u.Password, Permissions: p}
}

// server returns nil where everything is permitted: nats-server takes an empty
// list beside Responses for one.
func (s Subjects) server() *server.SubjectPermission {
	if len(s.Allow) == 0 && len(s.Deny) == 0 {
		return nil
	}
	return &server.SubjectPermission{Allow: s.Allow, Deny: s.Deny}
}
