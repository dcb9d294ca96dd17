package models

// Ids of what is on the network edge.
type (
	EdgeID    string
	ServiceID string
	NodeID    string
	RuleID    string
	VPNID     string
	PeerID    string
	IPID      string
	ProbeID   string
)
