// Package lab is vSphere for a laptop: simulated vCenters with templates,
// slow clones, guests that boot and screens one can type on, so that the demo
// and the tests run the same govmomi calls that production runs.
//
//	millwright demo ── Start ──┬─ child "public"  = RunVCenter ─ NewVCenter
//	                           └─ child "private" = RunVCenter ─ NewVCenter
//
//	client ──SOAP/TLS──▶ http.Server ─▶ gate (hang, connections)
//	                        │ /sdk         govmomi's simulator
//	                        │               ├─ interceptor: faults, refusals, redirects to the broker
//	                        │               └─ recorder: every change of a machine → journal, guest
//	                        │ /ticket/<id>  RFB screen of one machine
//	                        └ /lab/…        machines, faults (basic auth)
//
// # What it owns
//
// The inventory, in an append-only journal of its own below Options.Dir. A
// change is in the journal before its answer leaves, so a kill at any moment
// loses nothing that a client was told. It never reads the portal's database:
// a duplicate or a leftover made by the portal stays visible here.
//
// # What it refuses
//
// Any address but loopback; uploads to datastores; extra configuration that
// would start containers or write properties ("RUN.", "SET."); logins other
// than its own random one; names that leave the datastore folder.
//
// # Locks
//
// The simulator panics when a machine that is being made has no name yet and
// somebody looks a path up in the same folder. One mutex, VCenter.inventory,
// is therefore held around everything that makes, renames or finds by name.
// Order: inventory, then an object's lock in the simulator, then VCenter.mu.
// A slow clone sleeps before it takes any of them.
//
// The simulator races by itself, for instance while it makes two machines at
// once, which the inventory mutex keeps it from here. Tests that drive a
// vCenter hard under the race detector still do well to keep it in a child
// process (see Start): what it finds there is not theirs.
//
// # What it does in the simulator's place
//
// Clones (the simulator's share MAC address and disk file with the template),
// waiting for property updates (the simulator's deadlocks when a machine is
// made while a container view is followed, and costs seconds per change at a
// thousand machines), guests, resets, customisation and screen tickets.
package lab
