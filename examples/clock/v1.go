// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// Version 1 tells the time in a zone as text, such as 15:04:05.
var (
	Now1   = unaryrpc.RPC[string, string]{Name: "clock.now", Version: 1}
	Ticks1 = staterpc.RPC[string, string, string]{Name: "clock.ticks", Version: 1}
)

var (
	now1   = versioned.New(Now1)
	ticks1 = versioned.New(Ticks1)
)
