package models

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"
)

// FirewallRule is one line of the org's firewall. Outside is who or what on the
// Internet, "" for anybody; inside is a network or a machine of the org, or
// all of it. Whether outside is source or destination is the direction's to say.
type FirewallRule struct {
	ID        RuleID `gorm:"primaryKey"`
	OrgID     OrgID
	Position  int
	Direction string // in, out
	Outside   string // CIDR or address; "" any
	NetworkID *NetworkID
	MachineID *MachineID
	Protocol  string // any, tcp, udp, icmp
	FirstPort int    // 0: any
	LastPort  int
	Allow     bool
	Enabled   bool
	Comment   string
	CreatedAt time.Time
}

// RuleRow is a rule with the names and addresses of what it refers to.
type RuleRow struct {
	FirewallRule
	NetworkName    string
	NetworkCIDR    string `gorm:"column:network_cidr"`
	MachineName    string
	MachineAddress string // "" where the machine has none any more: the rule rests
}

// Object is how the history names the rule.
func (r *FirewallRule) Object() Object {
	return Object{Kind: "firewall_rule", ID: string(r.ID), Name: "rule " + strconv.Itoa(r.Position)}
}

func (r *FirewallRule) facts() map[string]any {
	m := map[string]any{"direction": r.Direction, "outside": r.Outside, "protocol": r.Protocol, "first_port": r.FirstPort,
		"last_port": r.LastPort, "allow": r.Allow, "enabled": r.Enabled, "comment": r.Comment, "position": r.Position}
	if r.NetworkID != nil {
		m["network"] = *r.NetworkID
	}
	if r.MachineID != nil {
		m["machine"] = *r.MachineID
	}
	return m
}

// Inside is the address or network that the rule speaks of; ok is false for a
// rule whose machine has no address any more.
func (r *RuleRow) Inside() (cidr string, ok bool) {
	switch {
	case r.MachineID != nil:
		return r.MachineAddress, r.MachineAddress != ""
	case r.NetworkID != nil:
		return r.NetworkCIDR, true
	}
	return "", true
}

// FirewallRules lists them in order.
func (r *Reader) FirewallRules() ([]RuleRow, error) {
	var rows []RuleRow
	return rows, r.ruleRows().Order("firewall_rules.position, firewall_rules.id").Find(&rows).Error
}

func (r *Reader) ruleRows() *gorm.DB {
	return r.tx.Model(&FirewallRule{}).Select(`firewall_rules.*, COALESCE(n.name, '') AS network_name, COALESCE(n.cidr, '') AS network_cidr,
		COALESCE(m.name, '') AS machine_name, COALESCE(m.address, '') AS machine_address`).
		Joins("LEFT JOIN networks n ON n.org_id = firewall_rules.org_id AND n.id = firewall_rules.network_id").
		Joins("LEFT JOIN machines m ON m.org_id = firewall_rules.org_id AND m.id = firewall_rules.machine_id")
}

// FirewallRule returns one.
func (r *Reader) FirewallRule(id RuleID) (RuleRow, error) {
	var row RuleRow
	return row, absent(r.ruleRows().Where("firewall_rules.id = ?", id).Take(&row).Error, "firewall rule")
}

// AddRule puts a rule at the end.
func (w *Writer) AddRule(r *FirewallRule) error {
	if _, err := w.networkChanged(w.scope.org); err != nil {
		return err
	}
	var n int64
	if err := w.tx.Model(&FirewallRule{}).Count(&n).Error; err != nil {
		return err
	}
	if n >= firewallMost {
		return &Error{Code: CodeQuota, Message: "The firewall has as many rules as it can have. Delete one that is not needed."}
	}
	r.ID, r.OrgID, r.CreatedAt, r.Position = NewID[RuleID](), w.scope.org, Now(), int(n)+1
	if err := w.storeRule(w.tx.Create(r).Error); err != nil {
		return err
	}
	return w.Record(Event{Action: ActionFirewallAdd, Object: r.Object(), Outcome: OutcomeSucceeded, After: r.facts()})
}

// firewallMost bounds an org's firewall: a gateway walks it for each new
// connection.
const firewallMost = 500

func (w *Writer) storeRule(err error) error {
	if errors.Is(err, gorm.ErrForeignKeyViolated) {
		return Invalid(map[string]string{"inside": "Choose one of the org's networks or machines."})
	}
	return err
}

// ChangeRule stores what was edited; the position stays.
func (w *Writer) ChangeRule(r FirewallRule) error {
	if _, err := w.networkChanged(w.scope.org); err != nil {
		return err
	}
	old, err := w.FirewallRule(r.ID)
	if err != nil {
		return err
	}
	r.Position = old.Position
	err = w.tx.Model(&FirewallRule{}).Where("id = ?", r.ID).Updates(map[string]any{
		"direction": r.Direction, "outside": r.Outside, "network_id": r.NetworkID, "machine_id": r.MachineID, "protocol": r.Protocol,
		"first_port": r.FirstPort, "last_port": r.LastPort, "allow": r.Allow, "enabled": r.Enabled, "comment": r.Comment,
	}).Error
	if err := w.storeRule(err); err != nil {
		return err
	}
	return w.Record(Event{Action: ActionFirewallChange, Object: r.Object(), Outcome: OutcomeSucceeded, Before: old.facts(), After: r.facts()})
}

// MoveRule puts a rule at a position, from 1; the others close up.
func (w *Writer) MoveRule(id RuleID, to int) error {
	return w.reorder(func(ids []RuleID) ([]RuleID, RuleID, error) {
		at := slices.Index(ids, id)
		if at < 0 {
			return nil, "", NotFound("firewall rule")
		}
		ids = slices.Delete(ids, at, at+1)
		return slices.Insert(ids, min(max(to-1, 0), len(ids)), id), id, nil
	})
}

// DeleteRule removes a rule; the others close up.
func (w *Writer) DeleteRule(id RuleID) error {
	if _, err := w.networkChanged(w.scope.org); err != nil {
		return err
	}
	old, err := w.FirewallRule(id)
	if err != nil {
		return err
	}
	if err := w.tx.Where("id = ?", id).Delete(&FirewallRule{}).Error; err != nil {
		return err
	}
	if err := w.Record(Event{Action: ActionFirewallDelete, Object: old.Object(), Outcome: OutcomeSucceeded, Before: old.facts()}); err != nil {
		return err
	}
	return w.number()
}

func (w *Writer) ruleIDs() (ids []RuleID, err error) {
	return ids, w.tx.Model(&FirewallRule{}).Order("position, id").Pluck("id", &ids).Error
}

// number gives the rules their positions, from 1, without gaps.
func (w *Writer) number() error {
	ids, err := w.ruleIDs()
	if err != nil {
		return err
	}
	for i, id := range ids {
		if err := w.tx.Model(&FirewallRule{}).Where("id = ? AND position <> ?", id, i+1).Update("position", i+1).Error; err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) reorder(order func([]RuleID) ([]RuleID, RuleID, error)) error {
	if _, err := w.networkChanged(w.scope.org); err != nil { // its lock makes two who sort take turns
		return err
	}
	ids, err := w.ruleIDs()
	if err != nil {
		return err
	}
	was := slices.Clone(ids)
	ids, moved, err := order(ids)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if err := w.tx.Model(&FirewallRule{}).Where("id = ? AND position <> ?", id, i+1).Update("position", i+1).Error; err != nil {
			return err
		}
	}
	row, err := w.FirewallRule(moved)
	if err != nil {
		return err
	}
	return w.Record(Event{Action: ActionFirewallMove, Object: row.Object(), Outcome: OutcomeSucceeded,
		Before: map[string]any{"position": slices.Index(was, moved) + 1}, After: map[string]any{"position": row.Position}})
}

// rulesFollow tells the gateway where a rule names a machine whose address
// comes or goes.
func (w *Writer) rulesFollow(machine MachineID) error {
	var orgs []OrgID
	err := w.tx.Model(&FirewallRule{}).Where("machine_id = ?", machine).Distinct().Pluck("org_id", &orgs).Error
	for _, org := range orgs {
		if err != nil {
			break
		}
		_, err = w.networkChanged(org)
	}
	return err
}
