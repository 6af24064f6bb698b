// SPDX-License-Identifier: Apache-2.0

package micro

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/micro"
)

// DrainingKey is the key of a service's metadata that is "true" from
// [Service.Drain] on and absent before.
const DrainingKey = "durabus.draining"

// A Config says what a service tells about itself.
type Config struct {
	ID          string // of this instance, unlike any other's; one subject token
	Name        string // of letters, digits, '_' and '-'; shared by all instances
	Version     string // a semantic version, such as "1.4.0"
	Description string
	Metadata    map[string]string
	Started     time.Time // told in UTC
	Endpoints   []Endpoint
}

// An Endpoint is one line of a service's INFO and STATS.
type Endpoint struct {
	// Name is usually the RPC's with its version, such as "market.prices.v2".
	// [New] turns it into what ADR-32 allows, "market-prices-v2", and appends a
	// number where two endpoints would have the same.
	Name       string
	Subject    string
	QueueGroup string
	Metadata   map[string]string
}

// A Service answers for one instance. Its methods may be called concurrently.
type Service struct {
	config   Config
	subjects []string
	counters []Counters // one per endpoint, in the same order
	draining atomic.Bool
}

// New checks c and makes its service. It copies what it keeps of c. The error
// says which part of c is wrong and what is allowed there.
func New(c Config) (*Service, error) {
	if err := check(c); err != nil {
		return nil, err
	}
	c.Metadata = copyMetadata(c.Metadata)
	c.Started = c.Started.UTC()
	c.Endpoints = slices.Clone(c.Endpoints)
	for i := range c.Endpoints {
		c.Endpoints[i].Metadata = copyMetadata(c.Endpoints[i].Metadata)
	}
	nameEndpoints(c.Endpoints)
	return &Service{config: c, subjects: controlSubjects(c.Name, c.ID), counters: make([]Counters, len(c.Endpoints))}, nil
}

// copyMetadata never returns nil: ADR-32 has an empty object for no metadata.
func copyMetadata(m map[string]string) map[string]string {
	c := make(map[string]string, len(m))
	maps.Copy(c, m)
	return c
}

// controlSubjects lists, per verb, the subjects of all services, of this name
// and of this instance.
func controlSubjects(name, id string) []string {
	var subjects []string
	for _, v := range []micro.Verb{micro.PingVerb, micro.InfoVerb, micro.StatsVerb} {
		all := micro.APIPrefix + "." + v.String()
		subjects = append(subjects, all, all+"."+name, all+"."+name+"."+id)
	}
	return subjects
}

// Subjects returns the nine subjects on which the service is asked. Each needs
// a plain subscription, not a queue group: every instance answers.
func (s *Service) Subjects() []string { return slices.Clone(s.subjects) }

// Counters returns the figures of the i-th endpoint of the [Config]. The caller
// may keep the pointer; there is one Counters per endpoint.
func (s *Service) Counters(i int) *Counters { return &s.counters[i] }

// Drain marks the service as leaving, by [DrainingKey], in all later answers.
func (s *Service) Drain() { s.draining.Store(true) }

// Answer returns the JSON with which to answer a message that came on subject,
// one of [Service.Subjects]; any other is an error. The figures of STATS are
// exact once no request is in progress; those taken in between may be of
// slightly different moments.
func (s *Service) Answer(subject string) (body []byte, err error) {
	if !slices.Contains(s.subjects, subject) {
		return nil, fmt.Errorf("services protocol: %q is not a control subject of service %s.%s", subject, s.config.Name, s.config.ID)
	}
	switch verb := strings.Split(subject, ".")[1]; verb {
	case micro.PingVerb.String():
		return json.Marshal(micro.Ping{ServiceIdentity: s.identity(), Type: micro.PingResponseType})
	case micro.InfoVerb.String():
		return json.Marshal(s.info())
	default:
		return json.Marshal(s.stats())
	}
}

func (s *Service) identity() micro.ServiceIdentity {
	metadata := s.config.Metadata
	if s.draining.Load() {
		metadata = maps.Clone(metadata)
		metadata[DrainingKey] = "true"
	}
	return micro.ServiceIdentity{Name: s.config.Name, ID: s.config.ID, Version: s.config.Version, Metadata: metadata}
}

func (s *Service) info() micro.Info {
	endpoints := make([]micro.EndpointInfo, len(s.config.Endpoints))
	for i, e := range s.config.Endpoints {
		endpoints[i] = micro.EndpointInfo(e)
	}
	return micro.Info{
		ServiceIdentity: s.identity(),
		Type:            micro.InfoResponseType,
		Description:     s.config.Description,
		Endpoints:       endpoints,
	}
}

func (s *Service) stats() micro.Stats {
	endpoints := make([]*micro.EndpointStats, len(s.config.Endpoints))
	for i, e := range s.config.Endpoints {
		stats := s.counters[i].stats()
		stats.Name, stats.Subject, stats.QueueGroup = e.Name, e.Subject, e.QueueGroup
		endpoints[i] = &stats
	}
	return micro.Stats{
		ServiceIdentity: s.identity(),
		Type:            micro.StatsResponseType,
		Started:         s.config.Started,
		Endpoints:       endpoints,
	}
}
