// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

var (
	notServiceName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
	semantic       = regexp.MustCompile(`^v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)$`)
)

// withDefaults fills in what was left out, and refuses what cannot be.
func (svc Service) withDefaults() (Service, error) {
	if svc.Prefix != "" {
		if what := checkTokens(svc.Prefix); what != "" {
			return svc, &Error{Code: Invalid, Message: fmt.Sprintf("service prefix %q: %s", svc.Prefix, what)}
		}
	}
	if svc.Identity != "" && svc.Prefix == "" {
		return svc, &Error{Code: Invalid, Message: "a service's Identity needs a Prefix, which only that caller may publish to"}
	}
	if err := svc.Unknown.check(); err != nil {
		return svc, err
	}
	if svc.Limit < 0 || svc.Streams < 0 || svc.MaxStreamAge < 0 {
		return svc, &Error{Code: Invalid, Message: "a service's limits must not be negative"}
	}
	svc.Limit = cmp.Or(svc.Limit, defaultLimit)
	svc.Streams = cmp.Or(svc.Streams, defaultStreams)
	svc.MaxStall = cmp.Or(svc.MaxStall, defaultStall)
	if svc.MaxStall < 0 {
		svc.MaxStall = math.MaxInt64
	}
	if svc.Name == "" {
		name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
		svc.Name = cmp.Or(strings.Trim(notServiceName.ReplaceAllString(name, "-"), "-"), "service")
	}
	if svc.Version == "" {
		svc.Version = "0.0.0"
		if info, ok := debug.ReadBuildInfo(); ok {
			if m := semantic.FindStringSubmatch(info.Main.Version); m != nil {
				svc.Version = m[1]
			}
		}
	}
	return svc, nil
}
