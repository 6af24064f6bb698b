// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strconv"
	"strings"
)

// Root is the first token of all subjects but those of requests.
//
//	<full name>.v<version>                   request: callers publish, responders subscribe in a queue
//	_D.c.<instance>.<token>.<m>              control of one peer session: callers publish, the instance subscribes
//	_D.i.<instance>.<full name>.v<version>   request to one instance: callers publish, the instance subscribes
//	_D.m.<full name>.one                     menu question: callers publish, responders subscribe in a queue
//	_D.m.<full name>.all                     menu question: callers and tools publish, every responder subscribes
//	_D.f.<full name>.v<version>.<instance>.<token>  a feed: the instance publishes, callers subscribe
//	_D.a.<full name>                         what one responder serves now: responders publish, callers subscribe
//
// A full name is that of the RPC behind the service's prefix, as [FullName]
// joins them. Ids and tokens are single tokens of a subject. Nothing here checks
// names: who makes a subject has done so.
const Root = "_D"

const (
	controlRoot  = Root + ".c."
	instanceRoot = Root + ".i."
	menuRoot     = Root + ".m."
	announceRoot = Root + ".a."
	feedRoot     = Root + ".f."
)

// FullName joins a prefix, which may be empty, and the name of an RPC.
func FullName(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// RequestSubject is where a call at any responder is asked for. Callers publish;
// each responder subscribes to it in a queue group.
func RequestSubject(fullName string, version int) string {
	return fullName + ".v" + strconv.Itoa(version)
}

// ParseRequestSubject returns what a [RequestSubject] was made of. It reports
// false for any other subject, and for those of this package's own.
func ParseRequestSubject(subject string) (fullName string, version int, ok bool) {
	dot := strings.LastIndex(subject, ".v")
	if dot < 1 || strings.HasPrefix(subject, Root+".") {
		return "", 0, false
	}
	fullName, digits := subject[:dot], subject[dot+2:]
	version, err := strconv.Atoi(digits)
	if err != nil || version < 1 || strconv.Itoa(version) != digits {
		return "", 0, false
	}
	return fullName, version, true
}

// InstanceSubject is where a call at this instance is asked for. Callers
// publish; the instance subscribes to [InstanceSubjects].
func InstanceSubject(instance, fullName string, version int) string {
	return instanceRoot + instance + "." + RequestSubject(fullName, version)
}

// InstanceSubjects covers all subjects of calls at one instance.
func InstanceSubjects(instance string) string { return instanceRoot + instance + ".>" }

// ParseInstanceSubject returns what an [InstanceSubject] was made of. It reports
// false for any other subject.
func ParseInstanceSubject(subject string) (instance, fullName string, version int, ok bool) {
	rest, ok := strings.CutPrefix(subject, instanceRoot)
	if !ok {
		return "", "", 0, false
	}
	instance, rest, _ = strings.Cut(rest, ".")
	fullName, version, ok = ParseRequestSubject(rest)
	if instance == "" || !ok {
		return "", "", 0, false
	}
	return instance, fullName, version, true
}

// ControlSubject is where the caller of a peer session sends to the instance
// after its request: the Reply of the instance's Accepts and Beats. The token
// belongs to the session and cannot be guessed; m counts up with each Reply, and
// the caller uses the newest. Callers publish; the instance subscribes to
// [ControlSubjects].
func ControlSubject(instance, token string, m uint64) string {
	return controlRoot + instance + "." + token + "." + strconv.FormatUint(m, 10)
}

// ControlSubjects covers all control subjects of one instance.
func ControlSubjects(instance string) string { return controlRoot + instance + ".>" }

// ParseControlSubject returns the token and the counter of a [ControlSubject].
// It reports false for any other subject. It does not allocate.
func ParseControlSubject(subject string) (token string, m uint64, ok bool) {
	rest, ok := strings.CutPrefix(subject, controlRoot)
	if !ok {
		return "", 0, false
	}
	_, rest, _ = strings.Cut(rest, ".")
	token, digits, _ := strings.Cut(rest, ".")
	m, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || token == "" {
		return "", 0, false
	}
	return token, m, true
}

// MenuOneSubject is where one responder of a name is asked what it serves.
// Callers publish; all responders of any version of the name subscribe to it in
// one queue group, so that no responder at all is known at once.
func MenuOneSubject(fullName string) string { return menuRoot + fullName + ".one" }

// MenuAllSubject is where all responders of a name are asked what they serve.
// Callers and tools publish; every responder of any version of the name
// subscribes to it.
func MenuAllSubject(fullName string) string { return menuRoot + fullName + ".all" }

// AnnounceSubject is where responders of a name say unasked what they serve of it:
// when they come, when they leave. Responders publish; who wants to know
// subscribes.
func AnnounceSubject(fullName string) string { return announceRoot + fullName }

// FeedSubject is where an instance publishes the updates of one feed, whose token
// it gives to the callers that may have it. Those subscribe.
func FeedSubject(fullName string, version int, instance, token string) string {
	return feedRoot + RequestSubject(fullName, version) + "." + instance + "." + token
}

// IsAnnounceSubject reports whether subject is an [AnnounceSubject].
func IsAnnounceSubject(subject string) bool { return strings.HasPrefix(subject, announceRoot) }
