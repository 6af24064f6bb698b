// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"context"
	"fmt"

	"github.com/durabus/durabus/bus"
)

// Describe asks the first instance of e, reached through c, for the schema behind
// its digest: as text, by parts and, where the RPC has protobuf messages, as
// descriptors. All are empty if the instance does not know. A caller that is no bus.Client is
// asked itself.
func Describe(ctx context.Context, c bus.Caller, e Entry) (bus.MenuEntry, error) {
	if f, ok := c.(fleet); ok && len(e.Instances) > 0 {
		c = f.At(e.Instances[0])
	}
	_, lines, err := list[bus.MenuEntry](ctx, c, bus.MenuQuery{Schemas: e.Name})
	if err != nil {
		return bus.MenuEntry{}, err
	}
	for _, line := range lines {
		if line.Description() == e.Description {
			return line, nil
		}
	}
	return bus.MenuEntry{}, &bus.Error{
		Code: bus.Unserved, RPC: e.Description, Message: fmt.Sprintf("instance %v does not serve it any more", e.Instances),
	}
}
