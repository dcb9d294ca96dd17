package views

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// NetworkProps is the first page of an org's network.
type NetworkProps struct {
	Frame       Frame
	Gateway     models.OrgGateway
	Services    []models.ServiceRow
	Networks    []models.NetworkRow
	IPs         []models.OrgIP
	Uses        map[models.IPID][]string
	Offer       models.Offer
	Refused     []models.Refusal // what the gateway left out
	CanManage   bool
	AcceptError string
	Problem     string
}

func (p NetworkProps) place() Place { return p.Frame.Place() }

// outbound is the address that machines are seen to come from, "" for none.
func (p NetworkProps) outbound() string {
	for _, ip := range p.IPs {
		if p.Gateway.OutboundIPID != nil && ip.ID == *p.Gateway.OutboundIPID {
			return ip.Address
		}
	}
	return ""
}

func (p NetworkProps) nowhere() string {
	if p.Gateway.OutboundOff {
		return "nowhere: outbound NAT is off"
	}
	return "nowhere yet"
}

func (p NetworkProps) whyNowhere() string {
	switch {
	case p.Gateway.OutboundOff && len(p.IPs) > 0:
		return "What machines send to the Internet goes nowhere. \"Send by this\" at one of the public IPs turns it on."
	case p.Gateway.OutboundOff:
		return "What machines send to the Internet goes nowhere. Request a public IP below, then choose \"Send by this\"."
	}
	return "Without a public IP nothing leaves and nothing comes in. Request one below."
}

func (p NetworkProps) isOutbound(ip models.OrgIP) bool {
	return p.Gateway.OutboundIPID != nil && ip.ID == *p.Gateway.OutboundIPID
}

func rolloutLook(r models.Rollout) ui.Look {
	switch r {
	case models.RolloutPending:
		return ui.Look{Tone: ui.Busy, Icon: "clock", Label: "Pending"}
	case models.RolloutApplying:
		return ui.Look{Tone: ui.Busy, Icon: "loader-2", Label: "Applying", Spin: true}
	case models.RolloutActive:
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Active"}
	case models.RolloutFailed:
		return ui.Look{Tone: ui.Bad, Icon: "alert-circle", Label: "Failed"}
	case models.RolloutDrifted:
		return ui.Look{Tone: ui.Warn, Icon: "refresh", Label: "Drifted"}
	default:
		return ui.Look{Tone: ui.Idle, Icon: "help-circle", Label: "Unknown"}
	}
}

func rolloutWords(r models.Rollout, g models.OrgGateway) string {
	switch r {
	case models.RolloutPending:
		return "The gateway has not seen the last change yet."
	case models.RolloutApplying:
		return "The gateway is taking the last change over."
	case models.RolloutActive:
		return "The gateway carries this, verified."
	case models.RolloutFailed:
		return "The gateway refused the last change; what it carried before, it goes on carrying."
	case models.RolloutDrifted:
		return "Other hands changed the gateway; it was put right: " + g.Drift
	default:
	}
	if g.EdgeID == nil {
		return "No gateway carries this org yet. Your provider has to register one."
	}
	return "The gateway is silent, so nothing is known of it. What it carried, it goes on carrying."
}

func healthLook(h models.ServiceHealth) ui.Look {
	switch h {
	case models.HealthUp:
		return ui.Look{Tone: ui.Good, Icon: "heartbeat", Label: "Up"}
	case models.HealthPartly:
		return ui.Look{Tone: ui.Idle, Icon: "help-circle", Label: "Partly known"}
	case models.HealthDegraded:
		return ui.Look{Tone: ui.Warn, Icon: "alert-triangle", Label: "Degraded"}
	case models.HealthDown:
		return ui.Look{Tone: ui.Bad, Icon: "x", Label: "Down"}
	case models.HealthUnmonitored:
		return ui.Look{Tone: ui.Idle, Icon: "circle-dashed", Label: "Unmonitored"}
	case models.HealthOff:
		return ui.Look{Tone: ui.Idle, Icon: "ban", Label: "Off"}
	default:
		return ui.Look{Tone: ui.Idle, Icon: "help-circle", Label: "Unknown"}
	}
}

func serviceNodeLook(n models.NodeRow) ui.Look {
	switch {
	case !n.Enabled:
		return ui.Look{Tone: ui.Idle, Icon: "ban", Label: "Disabled"}
	case n.Draining:
		return ui.Look{Tone: ui.Busy, Icon: "hourglass", Label: "Draining"}
	}
	switch n.State {
	case "up":
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Up"}
	case "down":
		return ui.Look{Tone: ui.Bad, Icon: "x", Label: "Down"}
	case "unmonitored":
		return ui.Look{Tone: ui.Idle, Icon: "circle-dashed", Label: "Unmonitored"}
	case "off":
		return ui.Look{Tone: ui.Idle, Icon: "ban", Label: "Off"}
	default:
		return ui.Look{Tone: ui.Idle, Icon: "clock", Label: "Not seen yet"}
	}
}

var balancingNames = map[models.Balancing]string{
	models.BalanceLeast: "Least connections", models.BalanceRound: "Round robin", models.BalanceSource: "Source address",
}

// balancingWords says how a node is really chosen: for UDP nobody counts what
// is open.
func balancingWords(p models.ServiceProtocol, b models.Balancing) string {
	if p == models.ServiceUDP && b == models.BalanceLeast {
		b = models.BalanceRound
	}
	return balancingNames[b]
}

// connectWords names the check that asks for no more than an answer.
func connectWords(p models.ServiceProtocol) string {
	if p == models.ServiceUDP {
		return "Machine answers"
	}
	return "TCP connect"
}

// healthNotes are the words of the cards that differ for UDP.
type healthNotes struct {
	udp                                bool // and nothing else any more
	least, connectTitle, connect, http string
}

func healthNotesOf(f ServiceForm, settled bool) healthNotes {
	n := healthNotes{udp: settled && f.Protocol == string(models.ServiceUDP), connectTitle: connectWords(models.ServiceTCP),
		least: "The node with the fewest open", connect: "The port has to accept", http: "A path has to answer"}
	switch {
	case n.udp:
		n.connectTitle = connectWords(models.ServiceUDP)
		n.connect, n.http = "On TCP, if only by a refusal, and the UDP port must not refuse", "A path has to answer, on the TCP port of the same number"
	case !settled:
		n.least += ". UDP: each node in turn"
		n.connect += ". UDP: the machine has to answer on TCP, if only by a refusal, and the UDP port must not refuse"
	}
	return n
}

var protocolNames = map[models.ServiceProtocol]string{
	models.ServiceTCP: "TCP", models.ServiceUDP: "UDP", models.ServiceHTTP: "HTTP",
}

// endpoint is where a service is reached.
func endpoint(s models.ServiceRow) string {
	return fmt.Sprintf("%s:%d", s.Address, s.Port)
}

// mappedWords say where a service is reached whose address this host lacks.
func mappedWords(s models.ServiceRow) string {
	if s.Mapped == "" {
		return ""
	}
	return ", at " + s.Mapped + " here"
}

func sourcesWords(s models.ServiceRow) string {
	list := s.SourceList()
	if slices.Contains(list, "0.0.0.0/0") {
		return "everybody"
	}
	return strings.Join(list, ", ")
}

func monitorWords(s models.ServiceRow) string {
	switch s.MonitorKind {
	case "tcp":
		return connectWords(s.Protocol)
	case "http":
		want := "any 2xx or 3xx"
		if s.MonitorStatus != 0 {
			want = strconv.Itoa(s.MonitorStatus)
		}
		return "HTTP " + s.MonitorPath + " answers " + want
	}
	return "not monitored"
}

// size of a network, and how much of it machines may have.
func networkRoom(n models.Network) int64 { return max(n.LastIP-n.FirstIP-2, 0) }

func ago(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// ServiceProps is a service's page.
type ServiceProps struct {
	Frame     Frame
	Service   models.ServiceRow
	Gateway   models.OrgGateway
	Facade    FacadePanelProps
	Events    []models.AuditEvent
	CanManage bool
	Problem   string
}

// NewNodeOf is the node wizard with a machine and a port chosen.
func NewNodeOf(p Place, id models.ServiceID, machine, port string) string {
	return withQuery(p.NewNode(id), "machine", machine, "port", port)
}

// NodeNewProps is the node wizard: the picker, or the machine's port.
type NodeNewProps struct {
	Frame       Frame
	Service     models.ServiceRow
	Search      string
	Machines    models.Page[models.MachineRow]
	Machine     string
	MachineName string
	Addresses   []models.Address
	Address     string
	Port        string
	Enabled     bool
	OpenToAll   bool
	AdminPort   string // what answers there, if everybody may come
	Errors      map[string]string
}

// PublishProps is where a port of a machine gets its service.
type PublishProps struct {
	Frame    Frame
	Machine  models.MachineRow
	Services []models.ServiceRow
}

// PrivateNewProps is the form of a private network.
type PrivateNewProps struct {
	Frame                      Frame
	Clouds                     []models.Cloud
	Name, Cloud, CIDR, Gateway string
	Errors                     map[string]string
	Problem                    string
}

// PrivateProps is a private network with who has which address.
type PrivateProps struct {
	Frame     Frame
	Network   models.NetworkRow
	Gateway   models.OrgGateway
	Addresses []models.AddressRow
	CanManage bool
	Problem   string
}

// kept adds what a form holds to a menu that no longer offers it: a browser
// would choose the first option in its place, and nobody would see it.
func kept(list []ui.Option, value, label string) []ui.Option {
	if value == "" || slices.ContainsFunc(list, func(o ui.Option) bool { return o.Value == value }) {
		return list
	}
	return append(list, ui.Option{Value: value, Label: label})
}
