package network

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"unicode"

	"github.com/millwright/millwright/models"
)

// NewIP in ServiceSpec.PublicIP asks for another address.
const NewIP = "new"

// ServiceSpec is what a service is to be, as typed and tidied.
type ServiceSpec struct {
	Name        string
	PublicIP    string // id of one of the org's, "new", or "" for the outbound one
	Protocol    models.ServiceProtocol
	Port        int
	Balancing   models.Balancing
	Monitor     string // "", tcp, http
	Path        string
	Status      int
	IdleSeconds int
	Sources     []string
	Enabled     bool
	// NodePorts are those that machines listen on behind it.
	NodePorts []int
	// OpenToAll says that an administration port may be open to everybody.
	OpenToAll bool
	// AcceptedMicros is the price per hour that was shown and accepted, all
	// told; -1 was not accepted.
	AcceptedMicros int64
	// Problems is what could not even be read, by field.
	Problems map[string]string
}

// adminPorts are those over which machines are taken.
var adminPorts = map[int]string{
	21: "FTP", 22: "SSH", 23: "Telnet", 135: "RPC", 139: "NetBIOS", 445: "SMB", 1433: "SQL Server", 1521: "Oracle", 2375: "Docker",
	3306: "MySQL", 3389: "Remote Desktop", 5432: "PostgreSQL", 5900: "VNC", 5985: "WinRM", 5986: "WinRM", 6379: "Redis", 6443: "Kubernetes",
	9200: "Elasticsearch", 11211: "memcached", 27017: "MongoDB",
}

// AdminPort names what answers on an administration port; "" for any other.
func AdminPort(port int) string { return adminPorts[port] }

// OpenedAdmin names what answers behind a service that most of the Internet may
// come to, on whichever side an administration port stands: the public one, or
// that of a machine. "" where there is none.
func OpenedAdmin(sources []string, ports ...int) (name string, port int) {
	if !Everybody(sources) {
		return "", 0
	}
	for _, p := range ports {
		if name := AdminPort(p); name != "" {
			return name, p
		}
	}
	return "", 0
}

// openedWords ask for a confirmation.
func openedWords(name string, port int) string {
	return fmt.Sprintf("Port %d is %s, over which machines are attacked all day. Name your own networks, or confirm that everybody may try.", port, name)
}

// NodePorts are those that the service's machines listen on.
func NodePorts(s *models.ServiceRow) []int {
	ports := make([]int, len(s.Nodes))
	for i := range s.Nodes {
		ports[i] = s.Nodes[i].Port
	}
	return ports
}

// CheckNode says by field why a machine's port can't come behind the service
// without a confirmation.
func CheckNode(s *models.ServiceRow, port int, confirmed bool) error {
	if name, _ := OpenedAdmin(s.SourceList(), port); name != "" && !confirmed {
		return models.Invalid(map[string]string{"open_to_all": openedWords(name, port)})
	}
	return nil
}

// Everybody says whether sources let most of the Internet in: half of its
// addresses or more, whether as 0.0.0.0/0 or in pieces.
func Everybody(sources []string) bool {
	var addresses uint64
	for _, s := range sources {
		if p, err := netip.ParsePrefix(s); err == nil && p.Addr().Is4() {
			addresses += 1 << (32 - p.Bits())
		}
	}
	return addresses >= 1<<31
}

// ParseSources reads CIDRs and addresses, by space, comma or line.
func ParseSources(text string) (list []string, problem string) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == ';' }) {
		cidr, ok := parseCIDR(word)
		if !ok {
			return nil, fmt.Sprintf("“%s” is neither an IPv4 address nor a network such as 203.0.113.0/24.", cut(word, 40))
		}
		list = append(list, cidr)
	}
	if len(list) > sourcesMost {
		return nil, fmt.Sprintf("At most %d sources.", sourcesMost)
	}
	return list, ""
}

const sourcesMost = 64

func parseCIDR(word string) (string, bool) {
	if p, err := netip.ParsePrefix(word); err == nil && p.Addr().Is4() {
		return p.Masked().String(), true
	}
	if a, err := netip.ParseAddr(word); err == nil && a.Is4() {
		return a.String() + "/32", true
	}
	return "", false
}

// Check says by field what can't be used.
func (s *ServiceSpec) Check() map[string]string {
	wrong := map[string]string{}
	if n := len([]rune(s.Name)); n < 1 || n > 60 {
		wrong["name"] = "Enter a name of up to 60 characters."
	}
	if s.Protocol == "" {
		wrong["protocol"] = "Choose a protocol."
	}
	if s.Port < 1 || s.Port > 65535 {
		wrong["port"] = "Enter a port from 1 to 65535."
	}
	if s.Balancing == "" {
		wrong["balancing"] = "Choose how nodes are chosen."
	}
	switch {
	case s.Monitor == "http" && s.Protocol == models.ServiceUDP, s.Monitor == "tcp" && s.Protocol == models.ServiceUDP:
		// A UDP port answers nothing by itself; the machine is asked over TCP or HTTP at the same port.
	case s.Monitor != "" && s.Monitor != "tcp" && s.Monitor != "http":
		wrong["monitor"] = "Choose one of the checks."
	}
	if s.Monitor == "http" {
		if !strings.HasPrefix(s.Path, "/") || len(s.Path) > 200 || strings.ContainsFunc(s.Path, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\#{}`, r) }) {
			wrong["path"] = "Enter a path that begins with /, without spaces, such as /healthz."
		}
		if s.Status != 0 && (s.Status < 100 || s.Status > 599) {
			wrong["status"] = "Enter a status such as 200, or leave it empty for any 2xx or 3xx."
		}
	} else {
		s.Path, s.Status = "", 0
	}
	if s.IdleSeconds < 1 || s.IdleSeconds > 86400 {
		wrong["idle"] = "Enter seconds from 1 to 86400 (a day)."
	}
	if len(s.Sources) == 0 {
		wrong["sources"] = "Say who may come: networks such as 203.0.113.0/24, or 0.0.0.0/0 for everybody."
	} else if name, port := OpenedAdmin(s.Sources, append([]int{s.Port}, s.NodePorts...)...); name != "" && !s.OpenToAll {
		wrong["open_to_all"] = openedWords(name, port)
	}
	maps.Copy(wrong, s.Problems)
	return wrong
}

func (s *ServiceSpec) record() models.InternetService {
	return models.InternetService{
		Name: s.Name, Protocol: s.Protocol, Enabled: s.Enabled, Balancing: s.Balancing, MonitorKind: s.Monitor, MonitorPath: s.Path,
		MonitorStatus: s.Status, IdleTimeoutSeconds: s.IdleSeconds, Sources: strings.Join(s.Sources, " "),
	}
}

// CreateService makes a service, with a public IP of its own where one is
// asked for, all in one transaction.
func (s *Service) CreateService(ctx context.Context, scope *models.Scope, spec ServiceSpec) (models.InternetService, error) {
	row := spec.record()
	wrong := spec.Check()
	if spec.AcceptedMicros < 0 {
		wrong["accept"] = "Accept the price to go on."
	}
	if len(wrong) > 0 {
		return row, models.Invalid(wrong)
	}
	row = spec.record() // what Check has tidied
	row.PricePerHourMicros = s.options.ServicePricePerHourMicros
	if row.PricePerHourMicros > spec.AcceptedMicros {
		return row, models.Conflict("The price has changed since this page was opened. Nothing was made; look at the new price.")
	}
	err := scope.Change(ctx, func(w *models.Writer) error {
		ip, err := s.address(w, spec.PublicIP, spec.AcceptedMicros-row.PricePerHourMicros)
		if err != nil {
			return err
		}
		return w.CreateService(&row, models.ServiceEndpoint{PublicIPID: ip, Port: spec.Port})
	})
	return row, err
}

// address is the public IP that something is to have; for a new one at most
// accepted is paid per hour.
func (s *Service) address(w *models.Writer, ip string, accepted int64) (models.IPID, error) {
	switch ip {
	case NewIP:
		p, err := w.TakePublicIP(accepted)
		return p.ID, err
	case "":
		g, err := w.Gateway()
		if err == nil && g.OutboundIPID == nil {
			err = models.Invalid(map[string]string{"public_ip": "The org has no default public IP: nothing leaves by one. Choose one of its own, or a new one."})
		}
		if err != nil {
			return "", err
		}
		return *g.OutboundIPID, nil
	}
	return models.IPID(ip), nil
}

// Changed is a service before and after an edit.
type Changed struct{ Before, After models.ServiceRow }

// ChangeService stores an edited service; it goes on serving meanwhile. The
// accepted price is that of a new public IP, where one is asked for.
func (s *Service) ChangeService(ctx context.Context, scope *models.Scope, id models.ServiceID, spec ServiceSpec) (Changed, error) {
	var c Changed
	err := scope.Change(ctx, func(w *models.Writer) error {
		var err error
		if c.Before, err = w.Service(id); err != nil { // before what was typed: a stranger learns nothing
			return err
		}
		spec.NodePorts = NodePorts(&c.Before)
		wrong := spec.Check()
		if spec.PublicIP == NewIP && spec.AcceptedMicros < 0 {
			wrong["accept"] = "Accept the price of the new public IP, or choose one that the org has."
		}
		if len(wrong) > 0 {
			return models.Invalid(wrong)
		}
		row := spec.record()
		row.ID = id
		ip, err := s.address(w, spec.PublicIP, spec.AcceptedMicros)
		if err != nil {
			return err
		}
		if err := w.ChangeService(row, models.ServiceEndpoint{PublicIPID: ip, Port: spec.Port}); err != nil {
			return err
		}
		c.After, err = w.Service(id)
		return err
	})
	return c, err
}

// Words say what an edit does to who is connected, as far as that holds on
// every gateway.
func (c *Changed) Words() string {
	a, b := &c.Before, &c.After
	at := func(s *models.ServiceRow) string { return fmt.Sprintf("%s:%d", s.Address, s.Port) }
	apart := a.Address != b.Address || a.Protocol != b.Protocol
	switch {
	case a.Enabled && !b.Enabled:
		return "Stored. " + b.Name + " is switched off: nobody gets through."
	case !b.Enabled:
		return "Stored. " + b.Name + " stays switched off."
	case !a.Enabled:
		return "Stored. " + b.Name + " is switched on, at " + at(b) + "."
	case a.Address != b.Address, a.Port != b.Port && (apart || b.Protocol == models.ServiceUDP):
		return "Stored. " + b.Name + " moves to " + at(b) + ", and leaves " + at(a) + ": what is open there ends."
	case apart:
		return "Stored. " + b.Name + " speaks another protocol: what is open ends."
	case a.Port != b.Port:
		return "Stored. " + b.Name + " moves to " + at(b) + ", and leaves " + at(a) + ". What is open stays open."
	}
	return "Stored. The gateway takes it over without a gap."
}
