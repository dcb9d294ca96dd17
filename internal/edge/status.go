package edge

import "time"

// Status is what a gateway reports, after every change and on every tick.
type Status struct {
	Version  int         `json:"version"`
	Agent    string      `json:"agent"`             // version of the program
	Epoch    string      `json:"epoch"`             // changes whenever counters began again from 0
	Features []Feature   `json:"features"`          // what the host has and lacks
	Orgs     []OrgStatus `json:"orgs"`              // those of Desired
	Problem  string      `json:"problem,omitempty"` // of the gateway as a whole
}

// Feature is one thing that a gateway host needs.
type Feature struct {
	Name    string `json:"name"`
	Present bool   `json:"present"`
	Detail  string `json:"detail"` // version, or what to do
}

// OrgStatus is one org's. Observed is the generation last seen, Applied the
// one that is verified to run; while Applied is behind, the last good one
// serves.
type OrgStatus struct {
	ID       string          `json:"id"`
	Observed int64           `json:"observed"`
	Applied  int64           `json:"applied"`
	Failed   []Blame         `json:"failed,omitempty"` // objects left out; the others apply
	Error    string          `json:"error,omitempty"`  // why Applied is behind Observed
	Drift    []Drift         `json:"drift,omitempty"`  // found and repaired since the last report
	Released []string        `json:"released"`         // public IPs that nothing here uses any more
	Services []ServiceStatus `json:"services"`
	VPN      *VPNStatus      `json:"vpn,omitempty"`
	Peers    []PeerStatus    `json:"peers,omitempty"`
	Probes   []ProbeResult   `json:"probes,omitempty"`
}

// Blame names the object that could not be applied, and why.
type Blame struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Drift is a difference that other hands had made. It is told until a report
// that carries it was taken; Sequence grows within Status.Epoch, so that one
// whose answer was lost does not tell it twice. 0: none is kept.
type Drift struct {
	Sequence int64     `json:"sequence"`
	At       time.Time `json:"at"`
	Text     string    `json:"text"`
}

// ServiceStatus is live traffic of a service. Counters are cumulative within
// Status.Epoch; bytes as seen from outside.
type ServiceStatus struct {
	ID       string `json:"id"`
	Mapped   string `json:"mapped,omitempty"` // where it really listens, if elsewhere: "127.0.0.1:20080"
	BytesIn  int64  `json:"bytes_in"`
	BytesOut int64  `json:"bytes_out"`
	Total    int64  `json:"total"` // connections ever
	Open     int    `json:"open"`  // now

	Nodes []NodeStatus `json:"nodes"`
}

// Node states.
const (
	NodeUp          = "up"
	NodeDown        = "down"
	NodeDraining    = "draining"
	NodeOff         = "off" // disabled
	NodeUnmonitored = "unmonitored"
)

// NodeStatus is one node's.
type NodeStatus struct {
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason,omitempty"` // the last check's words
	Open     int       `json:"open"`
	Total    int64     `json:"total"`
	BytesIn  int64     `json:"bytes_in"`
	BytesOut int64     `json:"bytes_out"`
}

// VPNStatus is the org's end's.
type VPNStatus struct {
	Mapped string `json:"mapped,omitempty"` // where it really listens, if elsewhere
}

// PeerStatus is one device's.
type PeerStatus struct {
	ID            string    `json:"id"`
	LastHandshake time.Time `json:"last_handshake"` // zero: never
	BytesIn       int64     `json:"bytes_in"`
	BytesOut      int64     `json:"bytes_out"`
}

// ProbeResult is what came of a Probe.
type ProbeResult struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail"` // "connection refused", "answered in 3 ms"
}
