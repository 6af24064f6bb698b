// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestOnlyUsersAreLetInWhereThereAreAny(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{Users: []User{{Name: "ann", Password: "secret"}}})
	connect(t, srv.URL(), nats.UserInfo("ann", "secret"))
	for _, options := range [][]nats.Option{nil, {nats.UserInfo("ann", "guess")}, {nats.UserInfo("bob", "secret")}} {
		nc, err := nats.Connect(srv.URL(), append(options, nats.Timeout(patience))...)
		if !errors.Is(err, nats.ErrAuthorization) {
			nc.Close()
			t.Fatalf("error %v, want %v", err, nats.ErrAuthorization)
		}
	}
}

func TestAUserMayDoWhatIsListed(t *testing.T) {
	t.Parallel()
	only := func(subjects ...string) Subjects { return Subjects{Allow: subjects} }
	for _, tt := range []struct {
		name      string
		user      User
		publishes string // what may be published, of "a b"
		receives  string // what may be subscribed to
	}{
		{"everything", User{}, "a b", "a b"},
		{"publish allowed", User{Publish: only("a")}, "a", "a b"},
		{"publish denied", User{Publish: Subjects{Deny: []string{"a"}}}, "b", "a b"},
		{"subscribe allowed", User{Subscribe: only("a", "c")}, "a b", "a"},
		{"subscribe denied", User{Subscribe: Subjects{Allow: []string{"*"}, Deny: []string{"b"}}}, "a b", "a"},
		{"nothing", User{Publish: Subjects{Deny: []string{">"}}, Subscribe: Subjects{Deny: []string{">"}}}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.user.Name = "ann"
			srv := Run(t, Options{Users: []User{tt.user}})
			for _, subject := range []string{"a", "b"} {
				c := connect(t, srv.URL(), nats.UserInfo("ann", ""))
				c.publish(t, subject, "")
				c.permitted(t, "publish", subject, strings.Contains(tt.publishes, subject))
				c.subscribe(t, subject)
				c.permitted(t, "subscription", subject, strings.Contains(tt.receives, subject))
			}
		})
	}
}

// permitted checks whether the broker has complained of a violation.
func (c *client) permitted(t *testing.T, what, subject string, want bool) {
	t.Helper()
	c.flush(t)
	if want {
		if len(c.failed) > 0 {
			t.Fatalf("%s: %v", subject, <-c.failed)
		}
		return
	}
	err := receive(t, "violation", c.failed)
	if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(strings.ToLower(err.Error()), what+" to \""+subject) {
		t.Fatalf("%s: error %v, want a violation by a %s", subject, err, what)
	}
}

func TestResponsesAreLimited(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		responses *Responses
		publish   Subjects
		arrive    int // of 3
	}{
		{"default", &Responses{}, Subjects{}, 1},
		{"two", &Responses{Max: 2, Expires: time.Hour}, Subjects{}, 2},
		{"no limit", &Responses{Max: -1, Expires: -1}, Subjects{}, 3},
		{"beside what is allowed", &Responses{}, Subjects{Allow: []string{"_INBOX.>"}}, 3},
		{"none", nil, Subjects{Deny: []string{"_INBOX.>"}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := Run(t, Options{Users: []User{
				{Name: "caller"},
				{Name: "service", Responses: tt.responses, Publish: tt.publish},
			}})
			caller := connect(t, srv.URL(), nats.UserInfo("caller", ""))
			service := connect(t, srv.URL(), nats.UserInfo("service", ""))
			if n := answers(t, caller, service, "ask", 3); n != tt.arrive {
				t.Fatalf("%d of 3 answers arrived, want %d", n, tt.arrive)
			}
		})
	}
}

func TestAccountsComeFromConfig(t *testing.T) {
	t.Parallel()
	for response, want := range map[string]int{"singleton": 1, "stream": 3, "chunked": 3} {
		t.Run(response, func(t *testing.T) {
			srv := Run(t, Options{Config: fmt.Sprintf(`
				accounts {
					shop {
						users = [{user: service, password: ""}]
						exports = [{service: "ask.>", response_type: %s}]
					}
					customer {
						users = [{user: caller, password: ""}]
						imports = [{service: {account: shop, subject: "ask.>"}}]
					}
				}`, response)})
			caller := connect(t, srv.URL(), nats.UserInfo("caller", ""))
			service := connect(t, srv.URL(), nats.UserInfo("service", ""))
			if n := answers(t, caller, service, "ask.price", 3); n != want {
				t.Fatalf("%d of 3 answers arrived, want %d", n, want)
			}
		})
	}
}

// answers sends one request, answers it n times and returns how many arrive.
func answers(t *testing.T, caller, service *client, subject string, n int) int {
	t.Helper()
	requests := service.subscribe(t, subject)
	inbox := nats.NewInbox()
	got := caller.subscribe(t, inbox)
	if err := caller.PublishRequest(subject, inbox, []byte("?")); err != nil {
		t.Fatal(err)
	}
	reply := receive(t, "request", requests).Reply
	for i := range n {
		service.publish(t, reply, fmt.Sprint(i))
	}
	service.flush(t) // the broker has queued what it lets through
	caller.flush(t)  // and written it before this answer
	return len(got)
}
