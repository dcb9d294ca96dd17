package edge

// Version of the protocol. A gateway refuses a higher one.
const Version = 1

// Desired is everything that one gateway has to carry.
type Desired struct {
	Version int   `json:"version"`
	Orgs    []Org `json:"orgs"`
}

// Org is one org's network as it has to be. Objects refer to each other by id.
type Org struct {
	ID string `json:"id"`
	// Key names the org's namespace and interfaces on the gateway:
	// [a-z0-9]{1,8}, given by the portal, never reused.
	Key        string `json:"key"`
	Generation int64  `json:"generation"` // grows with every change of this org
	// Outbound is the public address that machines are seen to come from; ""
	// lets nothing out.
	Outbound string    `json:"outbound"`
	Networks []Network `json:"networks"`
	Services []Service `json:"services"`
	Firewall []Rule    `json:"firewall"` // in order; after the last: in denied, out allowed
	VPN      *VPN      `json:"vpn,omitempty"`
	Probes   []Probe   `json:"probes,omitempty"`
}

// Network is a private network with the gateway's own address in it.
type Network struct {
	ID      string `json:"id"`
	Number  int    `json:"number"` // of the org, 1 to 999, for interface names
	Cloud   string `json:"cloud"`  // slug: which trunk it arrives on
	VLAN    int    `json:"vlan"`   // 1 to 4094; 0 where the host brings the link itself
	CIDR    string `json:"cidr"`
	Gateway string `json:"gateway"` // the gateway's address in CIDR
}

// Protocols of a service. HTTP counts as TCP where ports are compared.
const (
	ProtocolTCP  = "tcp"
	ProtocolUDP  = "udp"
	ProtocolHTTP = "http"
)

// Ways to choose a node for a connection.
const (
	BalanceLeast  = "least_connections"
	BalanceRound  = "round_robin"
	BalanceSource = "source_address"
)

// Service is a public IP and port, and the nodes behind it.
type Service struct {
	ID string `json:"id"`
	// Mark is carried by the service's connections: counters and the sweep of
	// old connections go by it. 1 to 65535, unique per org, never reused soon.
	Mark               int      `json:"mark"`
	PublicIP           string   `json:"public_ip"`
	Protocol           string   `json:"protocol"`
	Port               int      `json:"port"`
	Enabled            bool     `json:"enabled"`
	Balancing          string   `json:"balancing"`
	IdleTimeoutSeconds int      `json:"idle_timeout_seconds"`
	Sources            []string `json:"sources"` // CIDRs that may come; empty lets nobody
	Monitor            *Monitor `json:"monitor,omitempty"`
	Nodes              []Node   `json:"nodes"`
}

// Monitor is how a node's health is asked. Without one, a failed connection
// alone tells. By HTTP it is a GET with the service's public address as Host.
type Monitor struct {
	Kind   string `json:"kind"`   // tcp or http
	Path   string `json:"path"`   // http: what is asked for, "/healthz"
	Status int    `json:"status"` // http: the answer wanted; 0 takes any 2xx or 3xx
}

// Node is a machine's address and port behind a service.
type Node struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	// Enabled false takes the node out; Draining lets what is open end, and
	// gives it nothing new.
	Enabled  bool `json:"enabled"`
	Draining bool `json:"draining"`
}

// Rule is one line of the firewall.
type Rule struct {
	ID          string `json:"id"`
	Direction   string `json:"direction"`   // in (from the internet) or out
	Source      string `json:"source"`      // CIDR; "" for any
	Destination string `json:"destination"` // CIDR or address; "" for any
	Protocol    string `json:"protocol"`    // any, tcp, udp, icmp
	FirstPort   int    `json:"first_port"`  // 0 for any; destination port
	LastPort    int    `json:"last_port"`
	Allow       bool   `json:"allow"`
}

// VPN is the org's WireGuard end.
type VPN struct {
	ID         string `json:"id"`
	PublicIP   string `json:"public_ip"`
	Port       int    `json:"port"`
	PrivateKey string `json:"private_key"` // base64, 32 bytes
	CIDR       string `json:"cidr"`        // the tunnel's own network
	Address    string `json:"address"`     // the gateway's in it
	Peers      []Peer `json:"peers"`
}

// Peer is one user's device.
type Peer struct {
	ID        string `json:"id"`
	PublicKey string `json:"public_key"` // base64, 32 bytes
	Address   string `json:"address"`    // in the tunnel's network
}

// Probe is a connection that the gateway tries once, from inside the org, and
// tells of in its status: evidence for "why can't I reach it?".
type Probe struct {
	ID       string `json:"id"`
	Address  string `json:"address"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol,omitempty"` // the service's; "" is tcp
	// Monitor is the service's own check, where it has one over HTTP. Without
	// it, a connection alone tells.
	Monitor *Monitor `json:"monitor,omitempty"`
	// Host is what that check calls the node, as the service's own checks do: the
	// service's public address.
	Host string `json:"host,omitempty"`
}
