package views

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// ServiceForm is what was typed, as it was typed.
type ServiceForm struct {
	Name, PublicIP, Protocol, Port, Balancing, Monitor, Path, Status, Idle, Sources string

	OpenToAll, Enabled bool
	Machine, NodePort  string // begun on a machine's page
}

// FormOf is a service as its form has it.
func FormOf(s models.ServiceRow) ServiceForm {
	f := ServiceForm{Name: s.Name, PublicIP: string(s.PublicIPID), Protocol: string(s.Protocol), Port: strconv.Itoa(s.Port),
		Balancing: string(s.Balancing), Monitor: s.MonitorKind, Path: s.MonitorPath, Idle: strconv.Itoa(s.IdleTimeoutSeconds),
		Sources: strings.ReplaceAll(s.Sources, " ", "\n"), Enabled: s.Enabled}
	if s.MonitorStatus != 0 {
		f.Status = strconv.Itoa(s.MonitorStatus)
	}
	return f
}

// hidden are the fields that other steps of the wizard carry along.
func (f ServiceForm) hidden(step int) [][2]string {
	all := []struct {
		step        int
		name, value string
	}{
		{1, "name", f.Name}, {1, "public_ip", f.PublicIP}, {1, "protocol", f.Protocol}, {1, "port", f.Port},
		{2, "balancing", f.Balancing}, {2, "monitor", f.Monitor}, {2, "path", f.Path}, {2, "status", f.Status}, {2, "idle", f.Idle},
		{3, "sources", f.Sources}, {0, "machine", f.Machine}, {0, "node_port", f.NodePort},
	}
	var list [][2]string
	for _, h := range all {
		if h.step != step && h.value != "" {
			list = append(list, [2]string{h.name, h.value})
		}
	}
	if f.OpenToAll && step != 3 {
		list = append(list, [2]string{"open_to_all", "yes"})
	}
	return list
}

// ServiceNewProps is one step of the wizard.
type ServiceNewProps struct {
	Frame         Frame
	Step          int
	Form          ServiceForm
	Errors        map[string]string
	Problem       string
	Gateway       models.OrgGateway
	IPs           []models.OrgIP
	Offer         models.Offer
	ServiceMicros int64
	AdminPort     string // what answers there, if everybody is to come
	Reserved      []models.ReservedPort
	MachineName   string
}

// wrong is all that keeps the step from being done. The fields say it too, and
// may be out of sight on a phone.
func (p ServiceNewProps) wrong() string {
	var list []string
	for _, field := range slices.Sorted(maps.Keys(p.Errors)) {
		list = append(list, p.Errors[field])
	}
	return strings.Join(list, " ")
}

// priceMicros is what is accepted, all told.
func (p ServiceNewProps) priceMicros() int64 {
	if p.Form.PublicIP == "new" {
		return p.ServiceMicros + p.Offer.PricePerHourMicros
	}
	return p.ServiceMicros
}

func (p ServiceNewProps) ipName() string {
	switch p.Form.PublicIP {
	case "new":
		return "a new one"
	case "":
		if p.Gateway.OutboundIPID != nil {
			return ipAddress(p.IPs, *p.Gateway.OutboundIPID)
		}
		return "none yet"
	}
	return ipAddress(p.IPs, models.IPID(p.Form.PublicIP))
}

func ipAddress(ips []models.OrgIP, id models.IPID) string {
	for _, ip := range ips {
		if ip.ID == id {
			return ip.Address
		}
	}
	return "–"
}

// ServiceEditProps is the form of a service that is there.
type ServiceEditProps struct {
	Frame     Frame
	Service   models.ServiceRow
	Form      ServiceForm
	Errors    map[string]string
	Problem   string
	IPs       []models.OrgIP
	Offer     models.Offer // of another one
	AdminPort string
	Reserved  []models.ReservedPort
}

// ips are those to choose from, a new one last.
func (p ServiceEditProps) ips() []ui.Option {
	list := ipOptions(p.IPs)
	if p.Offer.Available {
		list = append(list, ui.Option{Value: "new", Label: "A new one, " + newIPNote(p.Offer)})
	}
	return list
}

// reservedWords say which ports no service may have.
func reservedWords(ports []models.ReservedPort) string {
	var words []string
	for _, p := range ports {
		word := strings.ToUpper(p.L4) + " " + strconv.Itoa(p.Port)
		if p.ForVPN {
			word += " (the VPN's)"
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return ""
	}
	return "Kept for the gateway: " + strings.Join(words, ", ") + "."
}
