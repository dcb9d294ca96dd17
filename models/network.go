package models

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gorm.io/gorm"
)

// Network is an org's private network. It belongs to one cloud.
type Network struct {
	ID        NetworkID `gorm:"primaryKey"`
	OrgID     OrgID
	CloudID   CloudID
	Name      string
	CIDR      string `gorm:"column:cidr"`
	Gateway   string
	PortGroup string // in vSphere
	IsDefault bool   // of its cloud
	NextHost  int64  // where the search for a free address begins
	Number    int    // of the org, 1 to 999: names the gateway's interface
	VLAN      int    `gorm:"column:vlan"` // of the cloud's range; 0 where the port group brings its own
	FirstIP   int64  `gorm:"column:first_ip"`
	LastIP    int64  `gorm:"column:last_ip"`
	CreatedAt time.Time
	DeletedAt gorm.DeletedAt // gone for everybody; machines' records still name it
}

// Object is how the history names the network.
func (n *Network) Object() Object { return Object{Kind: "network", ID: string(n.ID), Name: n.Name} }

// Address is one taken address of a network.
type Address struct {
	OrgID     OrgID
	NetworkID NetworkID `gorm:"primaryKey"`
	Address   string    `gorm:"primaryKey"`
	Host      int64     // offset in the network, for ordering
	MachineID MachineID
	CreatedAt time.Time
}

// PutNetwork makes a network by org, cloud and name. Idempotent.
func (s *System) PutNetwork(ctx context.Context, n Network) (Network, error) {
	err := s.changing(ctx, func(w *Writer) error {
		var have Network
		err := w.tx.Take(&have, "org_id = ? AND cloud_id = ? AND name = ?", n.OrgID, n.CloudID, n.Name).Error
		if err == nil {
			n = have
			return nil
		}
		if !errors.Is(err, gorm.ErrRecordNotFound) {
			return err
		}
		n.ID = NewID[NetworkID]()
		if err := w.insertNetwork(&n); err != nil {
			return err
		}
		return w.configured(n.Object(), nil, map[string]any{
			"org": n.OrgID, "cloud": n.CloudID, "cidr": n.CIDR, "gateway": n.Gateway, "port_group": n.PortGroup})
	})
	return n, err
}

// Networks lists the org's networks, default ones first.
func (r *Reader) Networks() ([]Network, error) {
	var rows []Network
	return rows, r.tx.Order("is_default DESC, name").Find(&rows).Error
}

// Network returns one of the org's.
func (r *Reader) Network(id NetworkID) (Network, error) {
	var n Network
	return n, absent(r.tx.Take(&n, "id = ?", id).Error, "network")
}

// firstHost leaves .0 (network) and .1 to .9 (gateways) alone, until nothing
// else is left.
const firstHost = 10

// TakeAddress gives the machine the next free address of the network. The
// update of the network's row makes concurrent takers queue; the primary key
// would refuse a double one anyway.
func (w *Writer) TakeAddress(id NetworkID, machine MachineID) (Network, string, error) {
	done := w.tx.Model(&Network{}).Where("id = ?", id).Update("next_host", exprAdd("next_host", 1))
	if done.Error != nil {
		return Network{}, "", done.Error
	}
	n, err := w.Network(id)
	if err != nil {
		return n, "", err
	}
	prefix, err := netip.ParsePrefix(n.CIDR)
	if err != nil {
		return n, "", fmt.Errorf("network %s: %w", n.ID, err)
	}
	last := int64(1)<<(prefix.Addr().BitLen()-prefix.Bits()) - 2 // the one before broadcast
	first := firstHostOf(prefix)
	host, err := w.freeHost(id, []int64{max(n.NextHost-1, first), first, 1}, last, hostNumber(prefix, n.Gateway))
	if err != nil {
		return n, "", err
	}
	address := hostAddress(prefix, host).String()
	if err := w.tx.Model(&Network{}).Where("id = ?", id).Update("next_host", host+1).Error; err != nil {
		return n, "", err
	}
	return n, address, w.tx.Create(&Address{
		OrgID: n.OrgID, NetworkID: id, Address: address, Host: host, MachineID: machine, CreatedAt: Now(),
	}).Error
}

// TakeThisAddress gives the machine the address that was asked for. The
// database refuses one that is taken, or never given.
func (w *Writer) TakeThisAddress(id NetworkID, machine MachineID, address string) (Network, error) {
	n, err := w.Network(id)
	if err != nil {
		return n, err
	}
	prefix, err := netip.ParsePrefix(n.CIDR)
	if err != nil {
		return n, fmt.Errorf("network %s: %w", n.ID, err)
	}
	err = w.tx.Create(&Address{
		OrgID: n.OrgID, NetworkID: id, Address: address, Host: hostNumber(prefix, address), MachineID: machine, CreatedAt: Now(),
	}).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return n, Invalid(map[string]string{"address": "Another machine has this address. Choose a free one."})
	}
	return n, err
}

// freeHost looks for a gap from each of starts on. gateway is taken whatever
// the rows say.
func (w *Writer) freeHost(id NetworkID, starts []int64, last, gateway int64) (int64, error) {
	for _, host := range starts {
		for host <= last {
			var taken []int64
			err := w.tx.Model(&Address{}).Where("network_id = ? AND host >= ?", id, host).
				Order("host").Limit(256).Pluck("host", &taken).Error
			if err != nil {
				return 0, err
			}
			for _, t := range taken {
				if host == gateway {
					host++
				}
				if t != host {
					return host, nil
				}
				host++
			}
			if host == gateway {
				host++
			}
			if len(taken) < 256 && host <= last {
				return host, nil
			}
		}
	}
	return 0, &Error{Code: CodeQuota, Message: "This network has no free address left. Choose another network, or delete a machine in it."}
}

// hostNumber is the inverse of hostAddress; 0, which is never given, where
// address is none of the network's.
func hostNumber(prefix netip.Prefix, address string) int64 {
	a, err := netip.ParseAddr(address)
	if err != nil || !prefix.Contains(a) {
		return 0
	}
	var host int64
	base := prefix.Masked().Addr().AsSlice()
	for i, b := range a.AsSlice() {
		host = host<<8 + int64(b) - int64(base[i])
	}
	return host
}

func hostAddress(prefix netip.Prefix, host int64) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for i := len(bytes) - 1; i >= 0 && host > 0; i-- {
		host += int64(bytes[i])
		bytes[i] = byte(host & 0xff) // #nosec G115 -- masked
		host >>= 8
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}
