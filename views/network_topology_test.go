package views

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

// spread is an org's two hundred machines over so many networks, behind so many
// services.
func spread(networks, services, nodes int) models.Topology {
	t := models.Topology{IPs: []models.OrgIP{{ID: "ip", Address: "198.51.100.1", State: models.IPAssigned}}}
	for i := range networks {
		n := models.NetworkID(fmt.Sprintf("n-%03d", i))
		t.Networks = append(t.Networks, models.NetworkRow{Network: models.Network{ID: n, Name: string(n), CIDR: "10.0.0.0/24"}})
		each := 200 / networks
		t.Counts = append(t.Counts, models.MachineCount{NetworkID: n, State: models.MachineRunning, Machines: each})
		if each <= models.TopologyFew && len(t.Machines)+each <= models.TopologySmall {
			for j := range each {
				t.Machines = append(t.Machines, models.TopologyMachine{ID: models.MachineID(fmt.Sprintf("m-%d-%d", i, j)), NetworkID: n, Name: "m", State: models.MachineRunning})
			}
		}
	}
	for i := range services {
		s := models.ServiceRow{InternetService: models.InternetService{ID: models.ServiceID(fmt.Sprintf("s-%d", i)), Name: "s", Enabled: true, Protocol: models.ServiceTCP, MonitorKind: "tcp"}, PublicIPID: "ip", Port: i}
		for j := range nodes {
			s.Nodes = append(s.Nodes, models.NodeRow{ServiceNode: models.ServiceNode{ID: models.NodeID(fmt.Sprintf("%d-%d", i, j)), NetworkID: "n-000", Enabled: true}, MachineName: "m", State: "up"})
		}
		t.Services = append(t.Services, s)
	}
	return t
}

func TestTwoHundredMachinesStayAPicture(t *testing.T) {
	t.Parallel()
	for name, top := range map[string]models.Topology{
		"one network": spread(1, 3, 4), "forty networks": spread(40, 3, 4), "two hundred networks": spread(200, 0, 0),
		"one service": spread(1, 1, 200), "two hundred services": spread(4, 200, 1), "twenty services of ten": spread(3, 20, 10),
	} {
		for _, open := range []string{"", "services-ip", "nodes-s-0", "machines-n-000"} {
			p := TopologyProps{Frame: Frame{Org: models.Org{Slug: "acme"}}, Topology: top, Open: open, Now: time.Now()}
			d := p.draw()
			if d.Height > 2600 || d.Width > 1700 || len(d.Boxes) > 140 {
				t.Errorf("%s, open %q: %d boxes on %d by %d", name, open, len(d.Boxes), d.Width, d.Height)
			}
			for _, l := range d.Lines {
				if d.by[l.From] == nil || d.by[l.To] == nil {
					t.Errorf("%s: a line from %q to %q", name, l.From, l.To)
				}
			}
			listed := 0
			var walk func([]*drawn)
			walk = func(list []*drawn) {
				for _, b := range list {
					listed++
					if b.Title == "" || b.Words == "" || !strings.HasPrefix(b.URL, "/orgs/acme/") || b.Look.Icon == "" {
						t.Errorf("%s: %+v says too little", name, b)
					}
					walk(d.under[b.Key])
				}
			}
			walk(d.roots)
			if listed != len(d.Boxes) {
				t.Errorf("%s, open %q: %d boxes, %d in the list", name, open, len(d.Boxes), listed)
			}
		}
	}
}

func TestFoldedBoxSaysHowManyAndTheWorst(t *testing.T) {
	t.Parallel()
	looks := append(repeated(machineLook(models.MachineRunning), 35), machineLook(models.MachineStopped), machineLook(models.MachineFailed))
	words, look := summed(looks)
	if words != "35 running, 1 failed, 1 stopped" || look.Tone != ui.Bad {
		t.Errorf("%q in %s", words, look.Tone)
	}
	if words, look := summed(repeated(machineLook(models.MachineRunning), 2)); words != "2 running" || look.Tone != ui.Good {
		t.Errorf("%q in %s", words, look.Tone)
	}
}

func TestANodeOfAServiceThatIsOffSaysSo(t *testing.T) {
	t.Parallel()
	top := spread(1, 1, 2)
	for i := range top.Services[0].Nodes {
		top.Services[0].Nodes[i].State = "off"
	}
	top.Services[0].Enabled = false
	if look := serviceNodeLook(top.Services[0].Nodes[0]); look.Label != "Off" {
		t.Errorf("the node is %q", look.Label)
	}
	d := TopologyProps{Frame: Frame{Org: models.Org{Slug: "acme"}}, Topology: top, Now: time.Now()}.draw()
	if b := d.by["node-0-0"]; b == nil || b.Look.Label != "Off" || !strings.Contains(b.Words, "Off") {
		t.Errorf("in the picture: %+v", b)
	}
}
