package views

import (
	"strconv"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
)

func (p Place) Policy(id models.ServiceID) string { return p.Service(id) + "/policy" }

// FacadePanelProps is how a service's policy does, on the service's page.
type FacadePanelProps struct {
	Policy    *models.FacadePolicy // nil: there is none
	Template  string
	Size      string
	Network   string
	Acts      []models.FacadeAct
	Machines  int // that are the policy's
	CanManage bool
}

// FacadeForm is a policy as typed.
type FacadeForm struct {
	Min, Max, Template, InstanceType, Network, Port, DeadAfter, Cooldown, PerHour, ScaleOut, ScaleIn string

	Enabled, Scale bool
}

// FacadeFormOf is a policy as its form has it.
func FacadeFormOf(p models.FacadePolicy) FacadeForm {
	f := FacadeForm{Min: strconv.Itoa(p.MinNodes), Max: strconv.Itoa(p.MaxNodes), Template: string(p.TemplateID), InstanceType: string(p.InstanceTypeID),
		Network: string(p.NetworkID), Port: strconv.Itoa(p.NodePort), DeadAfter: strconv.Itoa(p.DeadAfterSeconds), Cooldown: strconv.Itoa(p.CooldownSeconds),
		PerHour: strconv.Itoa(p.OrdersPerHour), ScaleOut: "100", ScaleIn: "20", Enabled: p.Enabled, Scale: p.ScaleOutAt > 0}
	if f.Scale {
		f.ScaleOut, f.ScaleIn = strconv.Itoa(p.ScaleOutAt), strconv.Itoa(p.ScaleInAt)
	}
	return f
}

// FacadeProps is the form of a service's policy.
type FacadeProps struct {
	Frame         Frame
	Service       models.ServiceRow
	Exists        bool
	Form          FacadeForm
	Errors        map[string]string
	Problem       string
	Templates     []models.Template
	InstanceTypes []models.InstanceType
	Networks      []models.NetworkRow
	PriceMicros   int64 // per hour, of the most nodes; 0 where it can't be told yet
}

func (p FacadeProps) templates() []ui.Option {
	list := make([]ui.Option, 0, len(p.Templates))
	for _, t := range p.Templates {
		list = append(list, ui.Option{Value: string(t.ID), Label: t.Name})
	}
	return kept(list, p.Form.Template, "One that is no longer offered: choose another")
}

func (p FacadeProps) sizes() []ui.Option {
	list := make([]ui.Option, 0, len(p.InstanceTypes))
	for _, t := range p.InstanceTypes {
		list = append(list, ui.Option{Value: string(t.ID), Label: t.Name + " · " + strconv.Itoa(t.VCPUs) + " vCPU, " + memory(t.MemoryMiB) + ", " + strconv.Itoa(t.DiskGiB) + " GiB"})
	}
	return kept(list, p.Form.InstanceType, "One that is no longer on the menu: choose another")
}

func (p FacadeProps) networks() []ui.Option {
	list := make([]ui.Option, 0, len(p.Networks))
	for _, n := range p.Networks {
		list = append(list, ui.Option{Value: string(n.ID), Label: n.Name + " · " + n.CIDR + " · " + n.CloudName})
	}
	return kept(list, p.Form.Network, "One that is gone: choose another")
}

func monitored(s models.ServiceRow) bool { return s.MonitorKind != "" && s.MonitorKind != "none" }

func facadeLook(p models.FacadePolicy) ui.Look {
	switch {
	case !p.Enabled:
		return ui.Look{Tone: ui.Idle, Icon: "ban", Label: "Off"}
	case p.State == models.FacadeActing:
		return ui.Look{Tone: ui.Busy, Icon: "loader-2", Label: "Acting", Spin: true}
	case p.State == models.FacadeStopped:
		return ui.Look{Tone: ui.Bad, Icon: "alert-circle", Label: "Stopped"}
	}
	return ui.Look{Tone: ui.Good, Icon: "check", Label: "Watching"}
}

func facadeWords(p models.FacadePolicy, s models.ServiceRow) string {
	switch {
	case !p.Enabled:
		return "Nothing is replaced while it is off."
	case !s.Enabled:
		return "The service is switched off: nothing is ordered, and nothing goes, until it is on again."
	case p.State == models.FacadeActing:
		return "A machine comes or goes."
	case p.State == models.FacadeStopped:
		return p.Reason
	}
	dead := " for " + strconv.Itoa(p.DeadAfterSeconds) + " s is replaced"
	if !monitored(s) {
		return "A node whose machine is stopped, suspended, failed or gone" + dead + ". The service is not monitored: of a program that hangs nobody hears."
	}
	return "A node that is dead" + dead + "."
}

func facadeScaleWords(p models.FacadePolicy) string {
	if p.ScaleOutAt == 0 {
		return "The number stays as it is"
	}
	return "Out above " + strconv.Itoa(p.ScaleOutAt) + ", in below " + strconv.Itoa(p.ScaleInAt) + " connections per node"
}
