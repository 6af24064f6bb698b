// SPDX-License-Identifier: Apache-2.0

package flow

// An Allowance is the sending side of credit: how much may be sent and how much
// was. The zero value allows nothing.
type Allowance struct {
	limit, used uint64
}

// Grant raises the allowance to total. A smaller total is an old one; it changes
// nothing and Grant reports false.
func (a *Allowance) Grant(total uint64) bool {
	if total < a.limit {
		return false
	}
	a.limit = total
	return true
}

// Fits reports whether a frame of cost may be sent now.
func (a *Allowance) Fits(cost uint64) bool { return cost <= a.limit-a.used }

// Use counts a frame of cost as sent. It reports false, and counts nothing, if
// the frame does not fit.
func (a *Allowance) Use(cost uint64) bool {
	if !a.Fits(cost) {
		return false
	}
	a.used += cost
	return true
}

// Limit is the total that may be sent.
func (a *Allowance) Limit() uint64 { return a.limit }

// Used is the total sent.
func (a *Allowance) Used() uint64 { return a.used }

// A Window is the receiving side of credit. What was taken is held until it is
// released; taken and not released is never more than the window's size, which
// grows where the sender waits though the reader keeps up.
type Window struct {
	size, max                uint64
	taken, released, granted uint64
	wanted                   bool
}

// NewWindow returns a window of size bytes that may grow to max, for a sender
// that has sent used before. It grants its size; the peer must be told
// [Window.Granted].
func NewWindow(size, max, used uint64) Window {
	return Window{size: size, max: max, taken: used, released: used, granted: used + size}
}

// Take counts a frame of cost as received. It reports false, and counts nothing,
// if the sender had no credit for it.
func (w *Window) Take(cost uint64) bool {
	if cost > w.granted-w.taken {
		return false
	}
	w.taken += cost
	return true
}

// Sync corrects the window to a sender that says it has sent used in all, after
// all of which should be here: what is not was lost, and is done with. It reports
// whether a grant is due.
func (w *Window) Sync(used uint64) (due bool) {
	if used = min(used, w.granted); used > w.taken {
		w.released += used - w.taken
		w.taken = used
	}
	return w.due()
}

// Want notes that the sender waits for credit.
func (w *Window) Want() { w.wanted = true }

// Release counts cost of what was taken as done with, and reports whether a
// grant is due.
func (w *Window) Release(cost uint64) (due bool) {
	w.released += min(cost, w.taken-w.released)
	return w.due()
}

// Starved reports whether the sender waits though nothing is held here, so that
// the window and not the reader is what it waits for: time to [Window.Grow].
func (w *Window) Starved() bool { return w.wanted && w.released == w.taken && w.size < w.max }

// Growth is by how much Grow would grow.
func (w *Window) Growth() uint64 { return min(w.size, w.max-min(w.max, w.size)) }

// Grow doubles the window, up to its maximum.
func (w *Window) Grow() {
	w.size += w.Growth()
	w.wanted = false
}

// due keeps the peer from hearing of every byte: half a window is worth telling, a
// MiB of a larger one and an eighth of the largest. While half of those is kept
// back, a sender that is far away has only the other half under way.
func (w *Window) due() bool {
	return w.released+w.size >= w.granted+min(w.size/2, max(1<<20, w.size/8))
}

// Grant raises what is granted to what may be, and returns the total to tell.
func (w *Window) Grant() uint64 {
	w.granted = max(w.granted, w.released+w.size)
	return w.granted
}

// Granted is the total last granted, to be repeated at will.
func (w *Window) Granted() uint64 { return w.granted }

// Held is what was taken and not released.
func (w *Window) Held() uint64 { return w.taken - w.released }

// Outstanding is what the peer may still send without another grant.
func (w *Window) Outstanding() uint64 { return w.granted - w.taken }

// Size is the window's size now.
func (w *Window) Size() uint64 { return w.size }
