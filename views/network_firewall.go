package views

import (
	"cmp"
	"encoding/base64"
	"strconv"
	"strings"
	"unicode"

	"github.com/a-h/templ"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// RuleForm is a firewall rule as typed.
type RuleForm struct {
	Direction, Outside, Inside, Protocol, Ports, Comment string
	Allow, Enabled                                       bool
}

// NewRuleForm is the form for another rule.
func NewRuleForm() RuleForm {
	return RuleForm{Direction: "in", Protocol: "tcp", Allow: true, Enabled: true}
}

// RuleFormOf is a rule as its form has it.
func RuleFormOf(r models.RuleRow) RuleForm {
	f := RuleForm{Direction: r.Direction, Outside: r.Outside, Protocol: r.Protocol, Ports: ports(r.FirewallRule), Comment: r.Comment, Allow: r.Allow, Enabled: r.Enabled}
	switch {
	case r.NetworkID != nil:
		f.Inside = "network:" + string(*r.NetworkID)
	case r.MachineID != nil:
		f.Inside = "machine:" + string(*r.MachineID)
	}
	return f
}

// AskForm is the dry run's question as typed.
type AskForm struct{ Direction, Source, Destination, Protocol, Port string }

// AnswerProps is the dry run's answer.
type AnswerProps struct {
	Pass bool
	Text string
	Rule models.RuleID
}

// FirewallProps is the firewall's page.
type FirewallProps struct {
	Frame     Frame
	Gateway   models.OrgGateway
	Rules     []models.RuleRow
	Networks  []models.NetworkRow
	Machines  []models.MachineChoice
	IPs       []models.OrgIP
	Outbound  string
	Editing   models.RuleID // "" adds
	Form      RuleForm
	Errors    map[string]string
	Problem   string
	Ask       AskForm
	AskErrors map[string]string
	Answer    *AnswerProps
	CanManage bool
}

func ports(r models.FirewallRule) string {
	switch r.FirstPort {
	case 0:
		return ""
	case r.LastPort:
		return strconv.Itoa(r.FirstPort)
	}
	return strconv.Itoa(r.FirstPort) + "-" + strconv.Itoa(r.LastPort)
}

func what(r models.RuleRow) string {
	text := map[string]string{"any": "anything", "tcp": "TCP", "udp": "UDP", "icmp": "ICMP"}[r.Protocol]
	if p := ports(r.FirewallRule); p != "" {
		text += " " + p
	}
	return text
}

func outside(r models.RuleRow) string {
	if r.Outside == "" {
		return "anywhere"
	}
	return r.Outside
}

func inside(r models.RuleRow) string {
	switch {
	case r.MachineID != nil && r.MachineAddress == "":
		return r.MachineName + " (gone: the rule rests)"
	case r.MachineID != nil:
		return r.MachineName
	case r.NetworkID != nil:
		return r.NetworkName
	}
	return "all of the org"
}

// from and to put outside and inside where the direction has them.
func ruleFrom(r models.RuleRow) string {
	if r.Direction == "in" {
		return outside(r)
	}
	return inside(r)
}

func ruleTo(r models.RuleRow) string {
	if r.Direction == "in" {
		return inside(r)
	}
	return outside(r)
}

func verdictLook(allow bool) ui.Look {
	if allow {
		return ui.Look{Tone: ui.Good, Icon: "check", Label: "Allow"}
	}
	return ui.Look{Tone: ui.Bad, Icon: "ban", Label: "Deny"}
}

func (p FirewallProps) insideOptions() []ui.Option {
	list := []ui.Option{{Label: "All of the org"}}
	for _, n := range p.Networks {
		list = append(list, ui.Option{Value: "network:" + string(n.ID), Label: "Network " + n.Name + " · " + n.CIDR})
	}
	for _, m := range p.Machines {
		list = append(list, ui.Option{Value: "machine:" + string(m.ID), Label: "Machine " + m.Name + " · " + m.Address})
	}
	return kept(list, p.Form.Inside, p.insideNow())
}

// insideNow is what the edited rule speaks of, for a machine that is in no menu
// any more: storing the rule must not widen it.
func (p FirewallProps) insideNow() string {
	for _, r := range p.Rules {
		if r.ID == p.Editing {
			return "Machine " + inside(r)
		}
	}
	return "A machine that is gone: choose another"
}

func (p FirewallProps) action() string {
	if p.Editing != "" {
		return p.Frame.Place().Rule(p.Editing)
	}
	return p.Frame.Place().Firewall()
}

// live is where the part that changes by itself comes from, asked the same
// question.
func (p FirewallProps) live() string {
	list := []string{"part", PartLive}
	if p.Answer != nil {
		a := p.Ask
		list = append(list, "ask", a.Direction, "source", a.Source, "destination", a.Destination, "protocol", a.Protocol, "port", a.Port)
	}
	return withQuery(p.Frame.Place().Firewall(), list...)
}

// VPNProps is the VPN's page.
type VPNProps struct {
	Frame     Frame
	Gateway   models.OrgGateway
	VPN       *models.VPNRow // nil: not on yet
	IPs       []models.OrgIP
	Peers     []models.PeerRow
	Networks  []models.NetworkRow
	Own       models.UserID
	Device    string
	Errors    map[string]string
	Problem   string
	CanManage bool
	CanUse    bool
	Refused   string // why there can be none here
}

// DeviceProps is a device that was just let in, with its configuration.
type DeviceProps struct {
	Frame       Frame
	Peer        models.PeerRow
	Config      string
	KeyHere     bool // the portal made the key, and shows it this once
	Placeholder string
	QR          QR // with KeyHere, where one holds the text; else the page's script draws it
}

// tooLong stands where the QR code would.
const tooLong = "The configuration is too long for a QR code: take the file to the phone."

// file is the configuration's name: WireGuard calls the tunnel by it, and takes
// up to 15 of these characters.
func (p DeviceProps) file() string {
	name := []rune(strings.Map(func(r rune) rune {
		if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_=+.-", r)) {
			return r
		}
		return '-'
	}, p.Peer.Device))
	return cmp.Or(string(name[:min(len(name), 15)]), "millwright") + ".conf"
}

// download is the configuration as a link that holds it: where the portal made
// the key it has to be kept without a script too, and asking again would show
// the key twice.
func (p DeviceProps) download() templ.SafeURL {
	if !p.KeyHere {
		return "#" // the page's script puts the key in, and the link's aim
	}
	return templ.SafeURL("data:application/octet-stream;base64," + base64.StdEncoding.EncodeToString([]byte(p.Config)))
}

// QR is a QR code: runs of dark modules, row by row.
type QR struct {
	Size int
	path []byte
}

// Add adds a run.
func (q *QR) Add(x, y, width int) {
	q.path = append(q.path, 'M')
	q.path = strconv.AppendInt(q.path, int64(x), 10)
	q.path = append(q.path, ' ')
	q.path = strconv.AppendInt(q.path, int64(y), 10)
	q.path = append(q.path, 'h')
	q.path = strconv.AppendInt(q.path, int64(width), 10)
	q.path = append(q.path, "v1h-"...)
	q.path = strconv.AppendInt(q.path, int64(width), 10)
	q.path = append(q.path, 'z')
}

func (q *QR) viewBox() string {
	s := strconv.Itoa(q.Size + 8)
	return "-4 -4 " + s + " " + s
}
