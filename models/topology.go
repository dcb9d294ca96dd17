package models

import "gorm.io/gorm/clause"

// TopologyFew is how many machines of a network the picture shows one by one;
// more are folded, but for the one network that is opened, which shows up to
// TopologyMost.
const (
	TopologyFew  = 6
	TopologyMost = 60
)

// Topology is what the picture of an org's network is drawn of. However much
// the org has, it is read in the same number of statements.
type Topology struct {
	Gateway  OrgGateway
	IPs      []OrgIP
	Services []ServiceRow
	VPN      *VPNRow // nil: not on
	Peers    []PeerRow
	Networks []NetworkRow
	Counts   []MachineCount
	// Machines are those that the picture may show one by one: all of a small
	// network, the first of the opened one by name.
	Machines []TopologyMachine
}

// MachineCount is how many machines of a network are in a state.
type MachineCount struct {
	NetworkID NetworkID
	State     MachineState
	Machines  int
}

// TopologyMachine is as much of a machine as the picture shows.
type TopologyMachine struct {
	ID        MachineID
	OrgID     OrgID
	NetworkID NetworkID
	Name      string
	Address   string
	State     MachineState
}

// TableName is that of machines.
func (TopologyMachine) TableName() string { return "machines" }

// TopologySmall bounds how many machines of small networks are read: beyond it
// the picture folds those too.
const TopologySmall = 24

// Topology reads it. open is the network whose machines are wanted one by one,
// or ""; the devices are the user's, or with "" everybody's.
func (r *Reader) Topology(open NetworkID, user UserID) (Topology, error) {
	var t Topology
	var err error
	if t.Gateway, err = r.Gateway(); err != nil {
		return t, err
	}
	if t.IPs, err = r.PublicIPs(); err != nil {
		return t, err
	}
	if t.Services, err = r.Services(); err != nil {
		return t, err
	}
	if t.Networks, err = r.NetworkRows(); err != nil {
		return t, err
	}
	vpn, err := r.VPN()
	if err == nil {
		t.VPN = &vpn
	} else if CodeOf(err) != CodeNotFound {
		return t, err
	}
	if t.Peers, err = r.Peers(user); err != nil {
		return t, err
	}
	err = r.tx.Model(&Machine{}).Select("network_id, state, COUNT(*) AS machines").Where("state <> ?", MachineDeleted).
		Group("network_id, state").Order("network_id, state").Find(&t.Counts).Error
	if err != nil {
		return t, err
	}
	networks, most := t.listed(open)
	t.Machines, err = r.topologyMachines(networks, open, most)
	return t, err
}

// listed are the networks whose machines may be shown one by one, and how many
// these may be.
func (t *Topology) listed(open NetworkID) (list []NetworkID, most int) {
	total := map[NetworkID]int{}
	for _, c := range t.Counts {
		total[c.NetworkID] += c.Machines
	}
	for _, n := range t.Networks {
		if m := total[n.ID]; n.ID != open && m > 0 && m <= TopologyFew && most+m <= TopologySmall {
			most += m
			list = append(list, n.ID)
		}
	}
	if total[open] > 0 {
		list, most = append(list, open), most+TopologyMost
	}
	return list, most
}

func (r *Reader) topologyMachines(networks []NetworkID, open NetworkID, most int) ([]TopologyMachine, error) {
	var rows []TopologyMachine
	// The small ones come first, so that a large one can't push them out.
	err := r.tx.Select("id, org_id, network_id, name, address, state").
		Where("network_id IN ? AND state <> ?", append([]NetworkID{""}, networks...), MachineDeleted).
		Order(clause.OrderBy{Expression: clause.Expr{SQL: "CASE WHEN network_id = ? THEN 1 ELSE 0 END, name, id", Vars: []any{open}}}).
		Limit(most).Find(&rows).Error
	return rows, err
}
