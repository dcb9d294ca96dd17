package models

import (
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// ServiceNode is a machine's NIC and a port behind a service.
type ServiceNode struct {
	ID        NodeID `gorm:"primaryKey"`
	OrgID     OrgID
	ServiceID ServiceID
	MachineID MachineID
	NetworkID NetworkID
	Address   string
	Port      int
	Enabled   bool
	Draining  bool // what is open ends, nothing new comes
	CreatedAt time.Time
}

// NodeRow is a node with its machine and what the gateway last said of it.
type NodeRow struct {
	ServiceNode
	ServiceName  string
	MachineName  string
	MachineState MachineState
	State        string // up, down, draining, off, unmonitored; "" not reported yet
	Since        *time.Time
	Reason       string
	OpenNow      int
	Connections  int64
	BytesIn      int64
	BytesOut     int64
	ReportedAt   *time.Time
}

// Object is how the history names the node.
func (n *NodeRow) Object() Object {
	return Object{Kind: "node", ID: string(n.ID), Name: fmt.Sprintf("%s:%d of %s", n.MachineName, n.Port, n.ServiceName)}
}

func (n *ServiceNode) facts() map[string]any {
	return map[string]any{"address": n.Address, "port": n.Port, "enabled": n.Enabled, "draining": n.Draining}
}

func (r *Reader) nodes(narrow func(*gorm.DB) *gorm.DB) ([]NodeRow, error) {
	var rows []NodeRow
	q := r.tx.Model(&ServiceNode{}).Select(`service_nodes.*, s.name AS service_name, m.name AS machine_name, m.state AS machine_state,
		COALESCE(st.state, '') AS state, st.since, COALESCE(st.reason, '') AS reason, COALESCE(st.open_now, 0) AS open_now,
		COALESCE(st.connections, 0) AS connections, COALESCE(st.bytes_in, 0) AS bytes_in, COALESCE(st.bytes_out, 0) AS bytes_out, st.reported_at`).
		Joins("JOIN internet_services s ON s.org_id = service_nodes.org_id AND s.id = service_nodes.service_id").
		Joins("JOIN machines m ON m.org_id = service_nodes.org_id AND m.id = service_nodes.machine_id").
		Joins("LEFT JOIN node_status st ON st.org_id = service_nodes.org_id AND st.node_id = service_nodes.id")
	return rows, narrow(q).Order("m.name, service_nodes.port, service_nodes.id").Find(&rows).Error
}

// Node returns one node.
func (r *Reader) Node(id NodeID) (NodeRow, error) {
	rows, err := r.nodes(func(q *gorm.DB) *gorm.DB { return q.Where("service_nodes.id = ?", id) })
	if err == nil && len(rows) == 0 {
		return NodeRow{}, NotFound("node")
	}
	if err != nil {
		return NodeRow{}, err
	}
	return rows[0], nil
}

// MachineNodes lists what of the machine is published.
func (r *Reader) MachineNodes(id MachineID) ([]NodeRow, error) {
	return r.nodes(func(q *gorm.DB) *gorm.DB { return q.Where("service_nodes.machine_id = ?", id) })
}

// MachineAddresses lists a machine's NICs by their addresses.
func (r *Reader) MachineAddresses(id MachineID) ([]Address, error) {
	var rows []Address
	return rows, r.tx.Order("created_at").Find(&rows, "machine_id = ?", id).Error
}

// AddNode puts a machine's NIC behind a service. The foreign key refuses
// whatever is no NIC of the org's own machine.
func (w *Writer) AddNode(n *ServiceNode) error {
	g, err := w.serviceChanged(n.ServiceID)
	if err != nil {
		return err
	}
	n.ID, n.OrgID, n.CreatedAt = NewID[NodeID](), g.OrgID, Now()
	err = w.tx.Create(n).Error
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return Invalid(map[string]string{"port": "This machine is behind the service with this port already. Choose another port or machine."})
	case errors.Is(err, gorm.ErrForeignKeyViolated):
		return Invalid(map[string]string{"machine": "A node has to be an address of one of the org's own machines. Choose one from the list."})
	case err != nil:
		return err
	}
	row, err := w.Node(n.ID)
	if err != nil {
		return err
	}
	return w.Record(Event{Action: ActionNodeAdd, Object: row.Object(), Outcome: OutcomeSucceeded, After: n.facts()})
}

// serviceChanged raises the generation of the org and of the service.
func (w *Writer) serviceChanged(id ServiceID) (OrgGateway, error) {
	g, err := w.networkChanged(w.scope.org)
	if err != nil {
		return g, err
	}
	done := w.tx.Model(&InternetService{}).Where("id = ?", id).Updates(map[string]any{"generation": g.Generation, "updated_at": Now()})
	if done.Error != nil {
		return g, done.Error
	}
	if done.RowsAffected == 0 {
		return g, NotFound("service")
	}
	w.touch("service", string(id))
	return g, nil
}

// SetNode switches a node: on, off, or draining.
func (w *Writer) SetNode(id NodeID, enabled, draining bool) error {
	n, err := w.Node(id)
	if err != nil {
		return err
	}
	if _, err := w.serviceChanged(n.ServiceID); err != nil {
		return err
	}
	before := n.facts()
	action := ActionNodeDisable
	switch {
	case draining:
		action = ActionNodeDrain
	case enabled:
		action = ActionNodeEnable
	}
	n.Enabled, n.Draining = enabled, draining
	if err := w.tx.Model(&ServiceNode{}).Where("id = ?", id).Updates(map[string]any{"enabled": enabled, "draining": draining}).Error; err != nil {
		return err
	}
	return w.Record(Event{Action: action, Object: n.Object(), Outcome: OutcomeSucceeded, Before: before, After: n.facts()})
}

// RemoveNode takes a node away that gets nothing new any more.
func (w *Writer) RemoveNode(id NodeID) error {
	n, err := w.Node(id)
	if err != nil {
		return err
	}
	if n.Enabled && !n.Draining {
		return Conflict(n.MachineName + " still takes connections here. Drain it (what is open may end) or disable it, then remove it.")
	}
	if _, err := w.serviceChanged(n.ServiceID); err != nil {
		return err
	}
	if err := w.tx.Where("id = ?", id).Delete(&ServiceNode{}).Error; err != nil {
		return err
	}
	return w.Record(Event{Action: ActionNodeRemove, Object: n.Object(), Outcome: OutcomeSucceeded, Before: n.facts()})
}

// releaseAddress gives the machine's addresses back, and takes its nodes out
// of every service in the same transaction.
func (w *Writer) releaseAddress(machine MachineID) error {
	// In turns with a node that is being added just now: it is seen below, or
	// finds the address gone.
	var g OrgGateway
	if err := w.tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Limit(1).Find(&g, "org_id = ?", w.scope.org).Error; err != nil {
		return err
	}
	nodes, err := w.MachineNodes(machine)
	if err != nil {
		return err
	}
	for i := range nodes {
		n := &nodes[i]
		if _, err := w.serviceChanged(n.ServiceID); err != nil {
			return err
		}
		if err := w.tx.Where("id = ?", n.ID).Delete(&ServiceNode{}).Error; err != nil {
			return err
		}
		before := n.facts()
		before["because"] = "its machine is gone"
		if err := w.Record(Event{Action: ActionNodeRemove, Object: n.Object(), Outcome: OutcomeSucceeded, Before: before}); err != nil {
			return err
		}
	}
	if err := w.rulesFollow(machine); err != nil {
		return err
	}
	return w.tx.Where("machine_id = ?", machine).Delete(&Address{}).Error
}
