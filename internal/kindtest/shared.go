// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
)

// notShared are the laws that a shared stream does not keep, and why. They are run
// with streams that are not shared.
var notShared = map[string]string{
	"Values/one_MiB_there_and_back/pipe": "an update beyond one message ends the feed, and callers " +
		"have streams of their own only then",
	"Values/one_MiB_there_and_back/end_of_a_pipe": "the same",
	"Deadlines/end_of_a_pipe/that_passes_reaches_the_handler": "updates are made for all, with a context " +
		"that ends 5 s after the last of them has left",
	"Deadlines/end_of_a_pipe/cancel_reaches_the_handler": "the same",
	"Pushing/ends_with_its_reader":                       "the same",
	"Info/pipe":                                          "updates are made in a call of the feed's, which has an id of its own",
	"Info/end_of_a_pipe":                                 "the same",
	"Streams/run_beside_each_other":                      "a pipe's updates begin, for each of its callers, with the next one",
}

// SharedLaws runs all laws over dial with every handler marked as shared. States
// without a Publisher have private streams all the same: that is a law, too.
func SharedLaws(t *testing.T, dial Dial) {
	met := map[string]bool{}
	above := t.Name() + "/"
	Laws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller {
		law := strings.TrimPrefix(t.Name(), above) + "/"
		for private := range notShared {
			if strings.HasPrefix(law, private+"/") {
				met[private] = true
				return dial(t, handlers...)
			}
		}
		return dial(t, bus.Shared(handlers...)...)
	})
	for law := range notShared {
		if !met[law] {
			t.Errorf("no law %q was kept by private streams", law)
		}
	}
}
