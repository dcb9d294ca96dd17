package models

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// networkNumberMost is the highest number of an org's network: interface
// names on the gateway have room for three digits.
const networkNumberMost = 999

// insertNetwork stores a network with its bounds as numbers and the lowest
// free number of the org, and tells the gateway.
func (w *Writer) insertNetwork(n *Network) error {
	prefix, err := netip.ParsePrefix(n.CIDR)
	if err != nil || !prefix.Addr().Is4() {
		return Invalid(map[string]string{"cidr": "Enter an IPv4 network such as 10.40.0.0/24."})
	}
	prefix = prefix.Masked()
	n.CIDR = prefix.String()
	n.FirstIP, n.LastIP = bounds(prefix)
	n.CreatedAt, n.NextHost = Now(), firstHostOf(prefix)
	if _, err := w.networkChanged(n.OrgID); err != nil { // locks the org's network, so that numbers are given one by one
		return err
	}
	var taken []int
	if err := w.tx.Model(&Network{}).Where("org_id = ?", n.OrgID).Order("number").Pluck("number", &taken).Error; err != nil {
		return err
	}
	n.Number = 1
	for _, t := range taken {
		if t == n.Number {
			n.Number++
		}
	}
	if n.Number > networkNumberMost {
		return &Error{Code: CodeQuota, Message: fmt.Sprintf("An org has at most %d networks. Delete one that is empty.", networkNumberMost)}
	}
	return w.tx.Create(n).Error
}

// bounds are the first and last address as numbers.
func bounds(prefix netip.Prefix) (first, last int64) {
	for _, b := range prefix.Masked().Addr().As4() {
		first = first<<8 + int64(b)
	}
	return first, first + int64(1)<<(32-prefix.Bits()) - 1
}

// firstHostOf leaves room for gateways where there is room to leave.
func firstHostOf(prefix netip.Prefix) int64 {
	if prefix.Bits() > 28 {
		return 2
	}
	return firstHost
}

// CreateNetwork makes a network of the org in one of its clouds, with a VLAN
// of the cloud's range. The gateway's address defaults to the first.
func (w *Writer) CreateNetwork(n *Network) error {
	cloud, err := w.Cloud(n.CloudID)
	if err != nil {
		return Invalid(map[string]string{"cloud": "Choose one of the org's clouds."})
	}
	prefix, err := netip.ParsePrefix(n.CIDR)
	if err != nil || !prefix.Addr().Is4() {
		return Invalid(map[string]string{"cidr": "Enter an IPv4 network such as 10.40.0.0/24."})
	}
	if prefix.Masked() != prefix {
		return Invalid(map[string]string{"cidr": fmt.Sprintf("The network's own address is %s. Did you mean %s?", prefix.Masked().Addr(), prefix.Masked())})
	}
	if n.Gateway == "" {
		n.Gateway = hostAddress(prefix, 1).String()
	}
	host := hostNumber(prefix, n.Gateway)
	if first, last := bounds(prefix); host <= 0 || host >= last-first {
		return Invalid(map[string]string{"gateway": "The gateway has to be an address within the network, not its first or last."})
	}
	n.ID, n.OrgID = NewID[NetworkID](), w.scope.org
	if n.VLAN, err = w.takeVLAN(n.CloudID, cloud.Name); err != nil {
		return err
	}
	n.PortGroup = portGroupName(n.ID, n.VLAN)
	err = w.insertNetwork(n)
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Invalid(map[string]string{"name": "Another network in this cloud has this name. Choose a different one."})
	}
	if err != nil {
		return err
	}
	return w.Record(Event{Action: ActionNetworkCreate, Object: n.Object(), Outcome: OutcomeSucceeded, After: map[string]any{
		"cloud": cloud.Name, "cidr": n.CIDR, "gateway": n.Gateway, "vlan": n.VLAN}})
}

// portGroupName is the network's name in vSphere: our own words and id only.
func portGroupName(id NetworkID, vlan int) string {
	return fmt.Sprintf("millwright-%d-%s", vlan, id)
}

// takeVLAN takes a free VLAN of the cloud.
func (w *Writer) takeVLAN(cloud CloudID, name string) (int, error) {
	var row networkVLAN
	done := w.tx.Model(&row).Clauses(clause.Returning{}).
		Where("cloud_id = ? AND vlan = (?)", cloud, w.skipLocked("network_vlans", w.tx.Model(&networkVLAN{}).Select("vlan").
			Where("cloud_id = ? AND org_id IS NULL", cloud).Order("vlan").Limit(1))).
		Where("org_id IS NULL").Update("org_id", w.scope.org)
	if done.Error != nil {
		return 0, done.Error
	}
	if done.RowsAffected == 0 {
		return 0, &Error{Code: CodeQuota, Message: name + " has no room for another network just now: its range of VLANs is used up. Ask your provider for more."}
	}
	return row.VLAN, nil
}

// DeleteNetwork removes a network that nothing is in. What is in it is named.
func (w *Writer) DeleteNetwork(id NetworkID) error {
	n, err := w.Network(id)
	if err != nil {
		return err
	}
	g, err := w.networkChanged(n.OrgID)
	if err != nil {
		return err
	}
	if n.IsDefault {
		return Conflict("This is the org's default network in its cloud: machines come into it when none is chosen. It stays.")
	}
	var machines []string
	err = w.tx.Model(&Machine{}).Where("network_id = ? AND state <> 'deleted'", id).Order("name").Limit(4).Pluck("name", &machines).Error
	if err != nil {
		return err
	}
	if len(machines) > 0 {
		return Conflict("There are still machines in this network: " + few(machines) + ". Delete them first.")
	}
	var rules int64
	if err := w.tx.Model(&FirewallRule{}).Where("network_id = ?", id).Count(&rules).Error; err != nil {
		return err
	}
	if rules > 0 {
		return Conflict("A firewall rule names this network. Change or delete the rule first.")
	}
	// A deleted machine's record still names the network it was in; the row
	// stays for it, out of everybody's sight.
	if err := w.tx.Model(&Network{}).Where("id = ?", id).Updates(map[string]any{
		"deleted_at": Now(), "name": n.Name + " " + string(n.ID), "vlan": 0, "number": 0}).Error; err != nil {
		return err
	}
	if n.VLAN > 0 {
		if err := w.returnVLAN(g, n.CloudID, n.VLAN); err != nil {
			return err
		}
	}
	return w.Record(Event{Action: ActionNetworkDelete, Object: n.Object(), Outcome: OutcomeSucceeded, Before: map[string]any{
		"cidr": n.CIDR, "gateway": n.Gateway, "vlan": n.VLAN}})
}

// few joins at most three names.
func few(names []string) string {
	if len(names) > 3 {
		names = append(names[:3:3], "and others")
	}
	return strings.Join(names, ", ")
}
