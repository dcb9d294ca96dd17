// Package topology places things in columns and draws lines between them: a
// pure function from what hangs under what to boxes with coordinates. It knows
// nothing of networks; what a box says, and where it leads, is its caller's.
//
//	left                      right
//	┌───┐   ┌───┐   ┌───┐     ┌───┐   ┌───┐
//	│ a ├─┬─┤ b ├───┤ d ├─────┤ x ├─┬─┤ y │
//	└───┘ │ └───┘   └───┘     └───┘ │ └───┘
//	      │ ┌───┐                   │ ┌───┐
//	      └─┤ c │                   └─┤ z │
//	        └───┘                     └───┘
//	aside
//	┌───┐           ┌───┐
//	│ p ├───────────┤ q │
//	└───┘           └───┘
//
// A thing stands in the middle of all that hangs under it, so that every tree
// has a band of its own height and nothing can overlap. The order is the
// caller's; the same input gives the same picture.
package topology
