// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// A Place is what version 2 is asked for: a zone, such as Europe/London.
type Place struct{ Zone string }

// A Time is what version 2 tells: also the abbreviation of the zone, which is
// empty where a responder of version 1 was asked.
type Time struct{ Clock, Zone string }

// Version 2.
var (
	Now2   = unaryrpc.RPC[Place, Time]{Name: "clock.now", Version: 2}
	Ticks2 = staterpc.RPC[Place, Time, Time]{Name: "clock.ticks", Version: 2}
)

var (
	now2 = versioned.New(Now2, versioned.Via(now1,
		unaryrpc.Convert(zoneOf, timeOf), unaryrpc.Convert(placeOf, textOf)))
	ticks2 = versioned.New(Ticks2, versioned.Via(ticks1,
		staterpc.Convert(zoneOf, timeOf, timeOf), staterpc.Convert(placeOf, textOf, textOf)))
)

func zoneOf(p Place) string     { return p.Zone }
func placeOf(zone string) Place { return Place{Zone: zone} }
func timeOf(text string) Time   { return Time{Clock: text} }
func textOf(t Time) string      { return t.Clock }
