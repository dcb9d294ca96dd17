package views

import (
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/topology"
	"github.com/millwright/millwright/views/ui"
)

// TopologyProps is the picture of the org's network. Open is the key of the
// one group that is shown in full, "" for none.
type TopologyProps struct {
	Frame     Frame
	Topology  models.Topology
	Open      string
	Now       time.Time
	CanManage bool
}

// Columns of the picture, from the Internet to the machines.
const (
	columnInternet = iota
	columnIPs
	columnServices
	columnNodes
	columnNetworks
	columnMachines
)

var columnNames = []string{"Internet", "Public IPs", "Services", "Nodes", "Networks", "Machines"}

// How much is shown one by one. What is more is folded into one box, so that
// the picture stays a picture.
const (
	groupFew   = 6  // of a group, while it is closed
	groupMost  = 24 // of a group, while it is open
	columnMost = 30 // of a column, unless a group in it is opened
	networkMax = 30 // networks, with what leads to the rest
)

// handshakeFresh is how old a handshake of a device that is connected may be:
// WireGuard makes a new one every two minutes.
const handshakeFresh = 3 * time.Minute

// drawn is one box of the picture, and one line of the list.
type drawn struct {
	topology.Item
	Title, Note string // in the box; the note says the state
	Words       string // what it is and how it does, for the ear and the list
	URL         string
	Look        ui.Look
	Fold        bool // leads to more of the picture, or less
}

// drawing is the picture with what its boxes say.
type drawing struct {
	topology.Picture
	by    map[string]*drawn
	roots []*drawn
	under map[string][]*drawn
}

// box is what is drawn at b.
func (d *drawing) box(b topology.Box) *drawn { return d.by[b.Key] }

// tone is that of what the line leads to: a dead end is seen from afar.
func (d *drawing) tone(l topology.Line) ui.Tone { return d.by[l.To].Look.Tone }

// sketch gathers the boxes, column by column.
type sketch struct {
	p    TopologyProps
	plan topology.Plan
	by   map[string]*drawn
	all  []*drawn
}

func (s *sketch) add(list *[]topology.Item, d drawn) {
	if d.Words == "" {
		d.Words = d.Title + ", " + d.Note
	}
	*list = append(*list, d.Item)
	s.by[d.Key] = &d
	s.all = append(s.all, &d)
}

func (s *sketch) link(from, to string) {
	s.plan.Links = append(s.plan.Links, topology.Link{From: from, To: to})
}

// draw turns what there is into a picture.
func (p TopologyProps) draw() *drawing {
	s := &sketch{p: p, by: map[string]*drawn{}}
	s.outer()
	s.networks()
	s.vpn()
	d := &drawing{Picture: topology.Place(s.plan), by: s.by, under: map[string][]*drawn{}}
	for _, b := range s.all {
		if s.by[b.Under] != nil {
			d.under[b.Under] = append(d.under[b.Under], b)
		} else {
			d.roots = append(d.roots, b)
		}
	}
	return d
}

// opened says whether the group is the one that is shown in full.
func (p TopologyProps) opened(key string) bool { return p.Open == key }

// at is the page with a group shown in full, "" for none.
func (p TopologyProps) at(open, part string) string {
	return withQuery(p.Frame.Place().Topology(), "open", open, "part", part)
}

// folded is a box for many things under another.
func (p TopologyProps) folded(key, under string, column int, title string, looks []ui.Look) drawn {
	note, look := summed(looks)
	return drawn{Item: topology.Item{Key: key, Column: column, Under: under}, Title: title, Note: note, Look: look,
		Words: title + ": " + note + ". Show them", URL: p.at(key, "") + "#topology-" + under, Fold: true}
}

// unfolded is the box that closes an open group; more is how many it leaves
// out, to be seen on another page.
func (p TopologyProps) unfolded(key, under string, column, more int, what, url string) []drawn {
	var list []drawn
	if more > 0 {
		list = append(list, drawn{Item: topology.Item{Key: key + "-more", Column: column, Under: under}, Title: strconv.Itoa(more) + " more", Note: "On their own page",
			Words: strconv.Itoa(more) + " more " + what, URL: url, Look: ui.Look{Tone: ui.Idle, Icon: "arrow-right"}})
	}
	return append(list, drawn{Item: topology.Item{Key: key + "-fold", Column: column, Under: under}, Title: "Fold these", Note: what,
		Words: "Fold these " + what, URL: p.at("", "") + "#topology-" + under, Look: ui.Look{Tone: ui.Idle, Icon: "arrow-up"}, Fold: true})
}

// worst orders what is to be seen first of many.
var worst = []ui.Tone{ui.Bad, ui.Warn, ui.Busy, ui.Idle, ui.Good}

// summed says how many do well, and then how the others do, the worst first;
// its colour is the worst's.
func summed(looks []ui.Look) (string, ui.Look) {
	counts, order := map[string]int{}, []ui.Look{}
	for _, l := range looks {
		if counts[l.Label]++; counts[l.Label] == 1 {
			order = append(order, l)
		}
	}
	sum := ui.Look{Tone: ui.Idle, Icon: "stack-2"}
	var good, words []string
	for _, tone := range worst {
		for _, l := range order {
			if l.Tone != tone {
				continue
			}
			if len(good)+len(words) == 0 {
				sum = ui.Look{Tone: l.Tone, Icon: l.Icon, Label: l.Label}
			}
			text := strconv.Itoa(counts[l.Label]) + " " + strings.ToLower(l.Label)
			if tone == ui.Good {
				good = append(good, text)
			} else {
				words = append(words, text)
			}
		}
	}
	words = append(good, words...)
	return strings.Join(words, ", "), sum
}

// repeated is the same look n times.
func repeated(l ui.Look, n int) []ui.Look {
	list := make([]ui.Look, n)
	for i := range list {
		list[i] = l
	}
	return list
}

// outer is the left side: the Internet, addresses, services and their nodes.
func (s *sketch) outer() {
	t, place := &s.p.Topology, s.p.Frame.Place()
	look := ui.Look{Tone: ui.Accent, Icon: "world", Label: "Internet"}
	s.add(&s.plan.Left, drawn{Item: topology.Item{Key: "internet", Column: columnInternet}, Title: "Internet", Note: "everybody else", Words: "Internet", URL: place.Network(), Look: look})
	services := map[models.IPID][]*models.ServiceRow{}
	for i := range t.Services {
		services[t.Services[i].PublicIPID] = append(services[t.Services[i].PublicIPID], &t.Services[i])
	}
	room := columnMost
	nodes := columnMost
	for i, ip := range t.IPs {
		if i == columnMost-1 && len(t.IPs) > columnMost {
			n := strconv.Itoa(len(t.IPs) - i)
			s.add(&s.plan.Left, drawn{Item: topology.Item{Key: "ips-more", Column: columnIPs, Under: "internet"}, Title: n + " more", Note: "public IPs",
				URL: place.Network() + "#ips", Look: ui.Look{Tone: ui.Idle, Icon: "arrow-right"}})
			s.link("internet", "ips-more")
			break
		}
		s.ip(ip, services[ip.ID], &room, &nodes)
	}
}

func (s *sketch) ip(ip models.OrgIP, services []*models.ServiceRow, room, nodes *int) {
	place := s.p.Frame.Place()
	key := "ip-" + string(ip.ID)
	d := drawn{Item: topology.Item{Key: key, Column: columnIPs, Under: "internet"}, Title: ip.Address, Note: "Yours", URL: place.Network() + "#ips",
		Look: ui.Look{Tone: ui.Good, Icon: "map-pin", Label: "Yours"}}
	if ip.State == models.IPReleasing {
		d.Note, d.Look = "Releasing", ui.Look{Tone: ui.Busy, Icon: "hourglass", Label: "Releasing"}
	} else if g := s.p.Topology.Gateway; g.OutboundIPID != nil && *g.OutboundIPID == ip.ID {
		d.Note = "Yours, outbound too"
	}
	s.add(&s.plan.Left, d)
	s.link("internet", key)
	group := "services-" + string(ip.ID)
	shown, open := len(services), s.p.opened(group)
	switch {
	case open:
		shown = min(shown, groupMost)
	case shown > 1 && (shown > *room || shown > 2*groupFew):
		shown = 0
	}
	if !open {
		*room -= max(shown, 1)
	}
	var looks []ui.Look
	for i, v := range services {
		if i < shown {
			s.service(v, key, nodes)
		}
		looks = append(looks, s.serviceLook(v))
	}
	switch {
	case open:
		for _, b := range s.p.unfolded(group, key, columnServices, len(services)-shown, "services", place.Network()+"#services") {
			s.add(&s.plan.Left, b)
			s.link(key, b.Key)
		}
	case shown < len(services):
		s.add(&s.plan.Left, s.p.folded(group, key, columnServices, count(len(services), "service", "services"), looks))
		s.link(key, group)
	}
}

// serviceLook is the service's health, unless its last change was refused.
func (s *sketch) serviceLook(v *models.ServiceRow) ui.Look {
	if r := v.Rollout(&s.p.Topology.Gateway); r == models.RolloutFailed {
		return rolloutLook(r)
	}
	return healthLook(v.Health())
}

func (s *sketch) service(v *models.ServiceRow, under string, nodes *int) {
	place := s.p.Frame.Place()
	look := s.serviceLook(v)
	key := "service-" + string(v.ID)
	port := protocolNames[v.Protocol] + " " + strconv.Itoa(v.Port)
	s.add(&s.plan.Left, drawn{Item: topology.Item{Key: key, Column: columnServices, Under: under}, Title: v.Name, Note: port + " · " + look.Label,
		Words: v.Name + ", " + port + ", " + look.Label, URL: place.Service(v.ID), Look: look})
	s.link(under, key)
	group := "nodes-" + string(v.ID)
	shown, open := len(v.Nodes), s.p.opened(group)
	switch {
	case open:
		shown = min(shown, groupMost)
	case shown > 1 && (shown > groupFew || shown > *nodes):
		shown = 0
	}
	if !open {
		*nodes -= max(shown, 1)
	}
	into := map[models.NetworkID]bool{}
	var order []models.NetworkID
	var looks []ui.Look
	for i, n := range v.Nodes {
		look := serviceNodeLook(n)
		looks = append(looks, look)
		if i < shown {
			node := "node-" + string(n.ID)
			s.add(&s.plan.Left, drawn{Item: topology.Item{Key: node, Column: columnNodes, Under: key}, Title: n.MachineName, Note: ":" + strconv.Itoa(n.Port) + " · " + look.Label,
				Words: n.MachineName + ", port " + strconv.Itoa(n.Port) + " of " + n.Address + ", " + look.Label, URL: place.Service(v.ID) + "#nodes", Look: look})
			s.link(key, node)
			s.link(node, "network-"+string(n.NetworkID))
		} else if !into[n.NetworkID] {
			into[n.NetworkID] = true
			order = append(order, n.NetworkID)
		}
	}
	switch {
	case open:
		for _, b := range s.p.unfolded(group, key, columnNodes, len(v.Nodes)-shown, "nodes", place.Service(v.ID)+"#nodes") {
			s.add(&s.plan.Left, b)
			s.link(key, b.Key)
		}
	case shown < len(v.Nodes):
		s.add(&s.plan.Left, s.p.folded(group, key, columnNodes, count(len(v.Nodes), "node", "nodes"), looks))
		s.link(key, group)
		for _, n := range order {
			s.link(group, "network-"+string(n))
		}
	}
}

// networks is the right side: networks with their machines.
func (s *sketch) networks() {
	t, place := &s.p.Topology, s.p.Frame.Place()
	machines := map[models.NetworkID][]models.TopologyMachine{}
	for _, m := range t.Machines {
		machines[m.NetworkID] = append(machines[m.NetworkID], m)
	}
	looks := map[models.NetworkID][]ui.Look{}
	for _, c := range t.Counts {
		looks[c.NetworkID] = append(looks[c.NetworkID], repeated(machineLook(c.State), c.Machines)...)
	}
	for i, n := range t.Networks {
		if i == networkMax-1 && len(t.Networks) > networkMax {
			s.add(&s.plan.Right, drawn{Item: topology.Item{Key: "networks-more", Column: columnNetworks}, Title: strconv.Itoa(len(t.Networks)-i) + " more", Note: "networks",
				URL: place.Network() + "#private", Look: ui.Look{Tone: ui.Idle, Icon: "arrow-right"}})
			break
		}
		s.network(n, machines[n.ID], looks[n.ID])
	}
}

func (s *sketch) network(n models.NetworkRow, machines []models.TopologyMachine, looks []ui.Look) {
	place := s.p.Frame.Place()
	key, group := "network-"+string(n.ID), "machines-"+string(n.ID)
	open := s.p.opened(group)
	item := topology.Item{Key: key, Column: columnNetworks}
	if open {
		item.Across = 3
	}
	s.add(&s.plan.Right, drawn{Item: item, Title: n.Name, Note: n.CIDR, Words: n.Name + ", " + n.CIDR + " in " + n.CloudName, URL: place.PrivateNetwork(n.ID),
		Look: ui.Look{Tone: ui.Accent, Icon: "network", Label: "Network"}})
	if len(looks) == 0 {
		return
	}
	if !open && len(machines) < len(looks) {
		s.add(&s.plan.Right, s.p.folded(group, key, columnMachines, count(len(looks), "machine", "machines"), looks))
		s.link(key, group)
		return
	}
	for _, m := range machines {
		look := machineLook(m.State)
		s.add(&s.plan.Right, drawn{Item: topology.Item{Key: "machine-" + string(m.ID), Column: columnMachines, Under: key}, Title: m.Name, Note: orDash(m.Address) + " · " + look.Label,
			Words: m.Name + ", " + orDash(m.Address) + ", " + look.Label, URL: place.Machine(m.ID), Look: look})
		s.link(key, "machine-"+string(m.ID))
	}
	if open {
		for _, b := range s.p.unfolded(group, key, columnMachines, len(looks)-len(machines), "machines", place.PrivateNetwork(n.ID)) {
			s.add(&s.plan.Right, b)
			s.link(key, b.Key)
		}
	}
}

// empty says whether there is nothing to draw.
func (p TopologyProps) empty() bool {
	return len(p.Topology.IPs) == 0 && len(p.Topology.Networks) == 0
}

// TopologyOpen reads which network's machines are wanted one by one.
func TopologyOpen(open string) models.NetworkID {
	id, ok := strings.CutPrefix(open, "machines-")
	if !ok {
		return ""
	}
	return models.NetworkID(id)
}

// legend is what the colours say.
var legend = []ui.Look{
	{Tone: ui.Good, Icon: "check", Label: "As it should be"}, {Tone: ui.Busy, Icon: "hourglass", Label: "Being changed"},
	{Tone: ui.Warn, Icon: "alert-triangle", Label: "Look at it"}, {Tone: ui.Bad, Icon: "x", Label: "Down or failed"},
	{Tone: ui.Idle, Icon: "circle-dashed", Label: "Off, or nothing known"},
}
