// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"errors"
	"fmt"
	"strings"

	"github.com/durabus/durabus/bus"
)

// Check returns an error for each version that two responders serve differently:
// with another kind, schema or content type. It names the version, both ways and
// who serves them. What a responder does not say is not compared.
func (m Menu) Check() error {
	type version struct {
		name    string
		version int
	}
	first := map[version]Entry{}
	var errs []error
	for _, e := range m {
		key := version{e.Name, e.Version}
		other, seen := first[key]
		if !seen {
			first[key] = e
			continue
		}
		if what := differ(other, e); what != "" {
			errs = append(errs, &bus.Error{Code: bus.Invalid, RPC: e.Description, Message: what})
		}
		if other.Digest == "" { // there is nothing in it to compare the next with
			first[key] = e
		}
	}
	return errors.Join(errs...)
}

// differ says how two entries for one version contradict each other.
func differ(a, b Entry) string {
	says := func(what, a1, b1 string) string {
		return fmt.Sprintf("the responders disagree about its %s: %s at %s, %s at %s",
			what, a1, strings.Join(a.Instances, " "), b1, strings.Join(b.Instances, " "))
	}
	switch {
	case a.Kind != b.Kind:
		return says("kind", a.Kind.String(), b.Kind.String())
	case a.Digest != "" && b.Digest != "" && a.Digest != b.Digest:
		return says("schema", a.Digest, b.Digest)
	case a.ContentType != "" && b.ContentType != "" && a.ContentType != b.ContentType:
		return says("content type", a.ContentType, b.ContentType)
	}
	return ""
}
