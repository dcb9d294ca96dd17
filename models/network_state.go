package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// NetworkState is all that a gateway has to carry for one org.
type NetworkState struct {
	Gateway  OrgGateway
	Outbound string // public address, "" for none
	Networks []NetworkRow
	Services []ServiceRow
	Rules    []RuleRow
	VPN      *VPNRow
	VPNKey   string // opened, for the gateway alone
	Peers    []PeerRow
	Probes   []Probe // what the gateway is to try
}

// NetworkRow is a network with its cloud, and how full it is.
type NetworkRow struct {
	Network
	CloudSlug string
	CloudName string
	Taken     int
}

// NetworkRows lists the org's networks with their clouds.
func (r *Reader) NetworkRows() ([]NetworkRow, error) {
	var rows []NetworkRow
	err := r.tx.Model(&Network{}).Select(`networks.*, clouds.slug AS cloud_slug, clouds.name AS cloud_name,
		(SELECT COUNT(*) FROM addresses a WHERE a.org_id = networks.org_id AND a.network_id = networks.id) AS taken`).
		Joins("JOIN clouds ON clouds.id = networks.cloud_id").Order("networks.is_default DESC, networks.name").Find(&rows).Error
	return rows, err
}

// NetworkState reads an org's, the generation first: what is newer than it is
// then announced by a later one, never lost.
func (r *Reader) NetworkState() (NetworkState, error) {
	var st NetworkState
	var err error
	if st.Gateway, err = r.Gateway(); err != nil {
		return st, err
	}
	if st.Gateway.OutboundIPID != nil {
		p, err := r.PublicIP(*st.Gateway.OutboundIPID)
		if err != nil {
			return st, err
		}
		st.Outbound = p.Address
	}
	if st.Networks, err = r.NetworkRows(); err != nil {
		return st, err
	}
	if st.Services, err = r.Services(); err != nil {
		return st, err
	}
	if st.Rules, err = r.FirewallRules(); err != nil {
		return st, err
	}
	if err := wantedProbes(r.tx).Find(&st.Probes).Error; err != nil {
		return st, err
	}
	vpn, err := r.VPN()
	switch CodeOf(err) {
	case CodeNotFound:
		return st, nil
	case "":
		if err != nil {
			return st, err
		}
	default:
		return st, err
	}
	st.VPN = &vpn
	st.Peers, err = r.Peers("")
	return st, err
}

// Tag stands for the present state of everything that the gateway carries.
func (e *Edge) Tag(ctx context.Context) (tag string, err error) {
	err = e.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		tag, _, err = e.carried(r)
		return err
	})
	return tag, err
}

// carried lists the orgs of the gateway by key, and what stands for their state.
func (e *Edge) carried(r *Reader) (string, []OrgID, error) {
	var rows []OrgGateway
	err := r.tx.Select("org_id, generation, key").Where("edge_id = ?", e.id).Order("key").Find(&rows).Error
	sum := sha256.New()
	orgs := make([]OrgID, len(rows))
	for i, g := range rows {
		orgs[i] = g.OrgID
		_, _ = fmt.Fprintf(sum, "%s %d\n", g.OrgID, g.Generation)
	}
	if err != nil {
		return "", orgs, err
	}
	var probes []ProbeID // they change no generation
	err = wantedProbes(r.tx).Where("org_id IN (?)", r.tx.Model(&OrgGateway{}).Select("org_id").Where("edge_id = ?", e.id)).Pluck("id", &probes).Error
	for _, id := range probes {
		_, _ = fmt.Fprintf(sum, "probe %s\n", id)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), orgs, err
}

// Desired reads all that the gateway has to carry, with its tag. Each org is
// read within its own scope. A suspended org's VPN is carried without devices.
func (e *Edge) Desired(ctx context.Context) (tag string, states []NetworkState, err error) {
	var orgs []OrgID
	suspended := map[OrgID]bool{}
	err = e.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		if tag, orgs, err = e.carried(r); err != nil {
			return err
		}
		var ids []OrgID // after the tag: what is newer than it is asked for again
		err := r.tx.Model(&orgRow{}).Where("suspended_at IS NOT NULL").Pluck("id", &ids).Error
		for _, id := range ids {
			suspended[id] = true
		}
		return err
	})
	for _, org := range orgs {
		if err != nil {
			break
		}
		err = e.db.reading(ctx, scopeValue{org: org}, func(r *Reader) error {
			st, err := r.NetworkState()
			if err != nil {
				return err
			}
			if st.VPN != nil {
				if st.VPNKey, err = r.db.openSecret(string(st.VPN.ID), st.VPN.PrivateKey); err != nil {
					return err
				}
			}
			if suspended[org] {
				st.Peers = nil
			}
			states = append(states, st)
			return nil
		})
	}
	return tag, states, err
}

// AddressRow is a taken address with its machine's name.
type AddressRow struct {
	Address
	MachineName string
}

// NetworkAddresses returns a network with all that is taken in it, lowest first.
func (r *Reader) NetworkAddresses(id NetworkID) (NetworkRow, []AddressRow, error) {
	var n NetworkRow
	err := r.tx.Model(&Network{}).Select("networks.*, clouds.slug AS cloud_slug, clouds.name AS cloud_name").
		Joins("JOIN clouds ON clouds.id = networks.cloud_id").Where("networks.id = ?", id).Take(&n).Error
	if err != nil {
		return n, nil, absent(err, "network")
	}
	var rows []AddressRow
	err = r.tx.Model(&Address{}).Select("addresses.*, m.name AS machine_name").
		Joins("JOIN machines m ON m.org_id = addresses.org_id AND m.id = addresses.machine_id").
		Where("addresses.network_id = ?", id).Order("addresses.host").Find(&rows).Error
	n.Taken = len(rows)
	return n, rows, err
}
