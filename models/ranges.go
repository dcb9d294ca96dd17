package models

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

type (
	// VLANRangeID is a range of VLANs'.
	VLANRangeID string
	// PublicIPRangeID is a range of public IPs'.
	PublicIPRangeID string
	// PublicIPID is a public IP's.
	PublicIPID string
)

// VLANRange is what org networks of a cloud take their VLANs from.
type VLANRange struct {
	ID        VLANRangeID `gorm:"primaryKey"`
	CloudID   CloudID
	FirstVLAN int `gorm:"column:first_vlan"`
	LastVLAN  int `gorm:"column:last_vlan"`
	CreatedAt time.Time
}

// TableName spells what gorm would take apart.
func (VLANRange) TableName() string { return "vlan_ranges" }

func (v *VLANRange) words() map[string]any {
	return map[string]any{"cloud": v.CloudID, "first_vlan": v.FirstVLAN, "last_vlan": v.LastVLAN}
}

func (v *VLANRange) object() Object {
	return Object{Kind: "vlan_range", ID: string(v.ID), Name: fmt.Sprintf("VLANs %d to %d", v.FirstVLAN, v.LastVLAN)}
}

// VLANRanges lists them all, by cloud.
func (p *Provider) VLANRanges(ctx context.Context) (list []VLANRange, err error) {
	err = p.reading(ctx, func(r *Reader) error { return r.tx.Order("cloud_id, first_vlan").Find(&list).Error })
	return list, err
}

// AddVLANRange adds a range that overlaps none of the same cloud. The update
// of the cloud's row makes whoever adds at the same moment wait.
func (p *Provider) AddVLANRange(ctx context.Context, v VLANRange) (VLANRange, error) {
	faults := map[string]string{}
	if v.FirstVLAN < 1 || v.FirstVLAN > 4094 {
		faults["first_vlan"] = "Enter a VLAN from 1 to 4094."
	}
	if v.LastVLAN < v.FirstVLAN || v.LastVLAN > 4094 {
		faults["last_vlan"] = "Enter a VLAN from the first one to 4094."
	}
	if len(faults) > 0 {
		return v, Invalid(faults)
	}
	err := p.change(ctx, func(w *Writer) error {
		locked := w.tx.Model(&Cloud{}).Where("id = ?", v.CloudID).Update("revision", exprAdd("revision", 0))
		if locked.Error != nil {
			return locked.Error
		}
		if locked.RowsAffected == 0 {
			return Invalid(map[string]string{"cloud": "Choose one of the clouds."})
		}
		var other VLANRange
		err := w.tx.Where("cloud_id = ? AND first_vlan <= ? AND last_vlan >= ?", v.CloudID, v.LastVLAN, v.FirstVLAN).
			Limit(1).Find(&other).Error
		if err != nil {
			return err
		}
		if other.ID != "" {
			return Invalid(map[string]string{"first_vlan": fmt.Sprintf("This overlaps the range from %d to %d of the same cloud.", other.FirstVLAN, other.LastVLAN)})
		}
		v.ID, v.CreatedAt = NewID[VLANRangeID](), Now()
		if err := w.tx.Create(&v).Error; err != nil {
			return err
		}
		return w.told(ActionConfigChange, v.object(), nil, v.words())
	})
	return v, err
}

// RemoveVLANRange takes a range away of which no network has a VLAN. The
// delete of the free VLANs decides, not what was counted: a network that takes
// one at the same moment is either seen below, or finds none.
func (p *Provider) RemoveVLANRange(ctx context.Context, id VLANRangeID) error {
	return p.change(ctx, func(w *Writer) error {
		if err := w.latch(vlanLatch, false); err != nil {
			return err
		}
		var v VLANRange
		if err := w.tx.Take(&v, "id = ?", id).Error; err != nil {
			return absent(err, "range")
		}
		done := w.tx.Where("id = ?", id).Delete(&VLANRange{})
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return NotFound("range")
		}
		within := "cloud_id = ? AND vlan BETWEEN ? AND ?"
		err := w.tx.Where(within+" AND org_id IS NULL", v.CloudID, v.FirstVLAN, v.LastVLAN).Delete(&networkVLAN{}).Error
		if err != nil {
			return err
		}
		var taken, used []int
		if err := w.tx.Model(&networkVLAN{}).Where(within, v.CloudID, v.FirstVLAN, v.LastVLAN).Pluck("vlan", &taken).Error; err != nil {
			return err
		}
		// A network of the configuration may have one that was never given out.
		if err := w.tx.Model(&Network{}).Where(within, v.CloudID, v.FirstVLAN, v.LastVLAN).Pluck("vlan", &used).Error; err != nil {
			return err
		}
		if taken = append(taken, used...); len(taken) > 0 {
			return Conflict("Networks have VLANs of this range: " + fewNumbers(taken) + ". It can be removed when they are deleted.")
		}
		return w.told(ActionConfigChange, v.object(), v.words(), nil)
	})
}

// fewNumbers names the lowest, each once.
func fewNumbers(list []int) string {
	slices.Sort(list)
	list = slices.Compact(list)
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return few(words)
}

// PublicIPState is what a public address is doing.
type PublicIPState string

const (
	PublicIPFree        PublicIPState = "free"
	PublicIPAssigned    PublicIPState = "assigned"    // an org's
	PublicIPReleasing   PublicIPState = "releasing"   // given back; its edge has not confirmed yet
	PublicIPQuarantined PublicIPState = "quarantined" // rests before somebody else gets it
)

// PublicIP is one address. Its org is nil while it is nobody's.
type PublicIP struct {
	ID              PublicIPID `gorm:"primaryKey"`
	RangeID         PublicIPRangeID
	Address         string
	Position        int64 // in its range
	OrgID           *OrgID
	State           PublicIPState
	AssignedAt      *time.Time
	ReleasedAt      *time.Time
	QuarantineUntil *time.Time
	CreatedAt       time.Time
}

// TableName spells what gorm would take apart.
func (PublicIP) TableName() string { return "public_ips" }

// PublicIPRange is a row of public addresses with one price.
type PublicIPRange struct {
	ID                 PublicIPRangeID `gorm:"primaryKey"`
	Name               string
	FirstAddress       string
	LastAddress        string
	PricePerHourMicros int64
	CreatedAt          time.Time
	DisabledAt         *time.Time // no new address is given out of it
}

// TableName spells what gorm would take apart.
func (PublicIPRange) TableName() string { return "public_ip_ranges" }

func (p *PublicIPRange) object() Object {
	return Object{Kind: "public_ip_range", ID: string(p.ID), Name: p.Name}
}

func (p *PublicIPRange) words() map[string]any {
	return map[string]any{"name": p.Name, "first_address": p.FirstAddress, "last_address": p.LastAddress,
		"price_per_hour_micros": p.PricePerHourMicros, "disabled": p.DisabledAt != nil}
}

// PublicIPRangeUse is a range with how much of it is in use.
type PublicIPRangeUse struct {
	PublicIPRange
	Addresses int
	Free      int
	Resting   int // releasing or quarantined
}

// Used is how many are orgs'.
func (u *PublicIPRangeUse) Used() int { return u.Addresses - u.Free - u.Resting }

// PublicIPRanges lists them, by name.
func (p *Provider) PublicIPRanges(ctx context.Context) (list []PublicIPRangeUse, err error) {
	err = p.reading(ctx, func(r *Reader) error {
		var rows []PublicIPRange
		if err := r.tx.Order("name").Find(&rows).Error; err != nil {
			return err
		}
		var counts []struct {
			RangeID PublicIPRangeID
			State   PublicIPState
			N       int
		}
		if err := r.tx.Model(&PublicIP{}).Select("range_id, state, COUNT(*) AS n").Group("range_id, state").Find(&counts).Error; err != nil {
			return err
		}
		for _, row := range rows {
			u := PublicIPRangeUse{PublicIPRange: row}
			for _, c := range counts {
				if c.RangeID != row.ID {
					continue
				}
				u.Addresses += c.N
				switch c.State {
				case PublicIPFree:
					u.Free += c.N
				case PublicIPReleasing, PublicIPQuarantined:
					u.Resting += c.N
				case PublicIPAssigned:
				}
			}
			list = append(list, u)
		}
		return nil
	})
	return list, err
}

// rangeMost bounds a range: a row is made of each of its addresses.
const rangeMost = 4096

// addresses lists a range's, lowest first.
func (p *PublicIPRange) addresses() ([]netip.Addr, map[string]string) {
	faults := map[string]string{}
	first, err := netip.ParseAddr(p.FirstAddress)
	if err != nil || !first.Is4() {
		faults["first_address"] = "Enter an IPv4 address, such as 203.0.113.10."
	}
	last, err := netip.ParseAddr(p.LastAddress)
	if err != nil || !last.Is4() {
		faults["last_address"] = "Enter an IPv4 address, such as 203.0.113.20."
	}
	if len(faults) > 0 {
		return nil, faults
	}
	if last.Less(first) {
		return nil, map[string]string{"last_address": "The last address comes before the first."}
	}
	var list []netip.Addr
	for a := first; ; a = a.Next() {
		if len(list) == rangeMost {
			return nil, map[string]string{"last_address": fmt.Sprintf("A range holds at most %d addresses. Add several.", rangeMost)}
		}
		list = append(list, a)
		if a == last {
			break
		}
	}
	p.FirstAddress, p.LastAddress = first.String(), last.String()
	return list, nil
}

// neverPublic are the addresses that no gateway takes as public ones. Private
// ones it does: what is outside for an org may be inside of its provider.
// Source: RFC 6890, 2.2.2.
var neverPublic = map[netip.Prefix]string{
	netip.MustParsePrefix("0.0.0.0/8"):      "this network",
	loopback:                                "loopback",
	netip.MustParsePrefix("169.254.0.0/16"): "link-local, and metadata",
	netip.MustParsePrefix("224.0.0.0/4"):    "multicast",
	netip.MustParsePrefix("240.0.0.0/4"):    "reserved, and broadcast",
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// reachable refuses a range that touches a network where nobody is. The lab's
// gateway has its addresses in loopback, and nowhere else.
func (w *Writer) reachable(first, last netip.Addr) error {
	var labs int64
	if err := w.tx.Model(&Edge{}).Where("local = ?", true).Count(&labs).Error; err != nil {
		return err
	}
	for n, what := range neverPublic {
		touches := n.Contains(first) || n.Contains(last) || first.Less(n.Addr()) && n.Addr().Less(last)
		if touches && (n != loopback || labs == 0) {
			return Invalid(map[string]string{"first_address": fmt.Sprintf("Nobody reaches %s (%s) from outside. Enter addresses that lead to the gateway.", n, what)})
		}
	}
	return nil
}

// AddPublicIPRange makes a row of each address. The unique address refuses a
// range that overlaps another, whoever adds at the same moment.
func (p *Provider) AddPublicIPRange(ctx context.Context, added PublicIPRange) (PublicIPRange, error) {
	list, faults := added.addresses()
	if faults == nil {
		faults = map[string]string{}
	}
	if n := len([]rune(added.Name)); n < 1 || n > 80 {
		faults["name"] = "Enter a name of up to 80 characters."
	}
	if added.PricePerHourMicros < 0 || added.PricePerHourMicros > 1_000_000_000_000 {
		faults["price"] = "Enter a price from 0 to 1000000 per hour."
	}
	if len(faults) > 0 {
		return added, Invalid(faults)
	}
	err := p.change(ctx, func(w *Writer) error {
		if err := w.reachable(list[0], list[len(list)-1]); err != nil {
			return err
		}
		added.ID, added.CreatedAt, added.DisabledAt = NewID[PublicIPRangeID](), Now(), nil
		if err := w.tx.Create(&added).Error; err != nil {
			return duplicate(err, "name", "Another range has this name.")
		}
		rows := make([]PublicIP, len(list))
		for i, a := range list {
			rows[i] = PublicIP{ID: NewID[PublicIPID](), RangeID: added.ID, Address: a.String(), Position: int64(i), State: PublicIPFree, CreatedAt: added.CreatedAt}
		}
		if err := w.tx.CreateInBatches(rows, 500).Error; err != nil {
			return duplicate(err, "first_address", "Some of these addresses are in another range already.")
		}
		return w.told(ActionConfigChange, added.object(), nil, added.words())
	})
	return added, err
}

// ChangePublicIPRange sets price and whether addresses are given out of it.
// What is assigned already stays so.
func (p *Provider) ChangePublicIPRange(ctx context.Context, id PublicIPRangeID, priceMicros *int64, disable *bool) error {
	if priceMicros != nil && (*priceMicros < 0 || *priceMicros > 1_000_000_000_000) {
		return Invalid(map[string]string{"price": "Enter a price from 0 to 1000000 per hour."})
	}
	return p.change(ctx, func(w *Writer) error {
		var have PublicIPRange
		if err := w.tx.Take(&have, "id = ?", id).Error; err != nil {
			return absent(err, "range")
		}
		is, set := have, map[string]any{}
		if priceMicros != nil {
			is.PricePerHourMicros = *priceMicros
			set["price_per_hour_micros"] = *priceMicros
		}
		if disable != nil {
			now := Now()
			is.DisabledAt, set["disabled_at"] = nil, nil
			if *disable {
				is.DisabledAt, set["disabled_at"] = &now, now
			}
		}
		if err := w.tx.Model(&PublicIPRange{}).Where("id = ?", id).Updates(set).Error; err != nil {
			return err
		}
		return w.told(ActionConfigChange, have.object(), have.words(), is.words())
	})
}

// RemovePublicIPRange takes a range away of which every address is free. The
// delete of the free rows and the foreign key decide, not what was counted.
func (p *Provider) RemovePublicIPRange(ctx context.Context, id PublicIPRangeID) error {
	return p.change(ctx, func(w *Writer) error {
		var have PublicIPRange
		if err := w.tx.Take(&have, "id = ?", id).Error; err != nil {
			return absent(err, "range")
		}
		if err := w.tx.Where("range_id = ? AND state = ?", id, PublicIPFree).Delete(&PublicIP{}).Error; err != nil {
			return err
		}
		var left int64
		if err := w.tx.Model(&PublicIP{}).Where("range_id = ?", id).Count(&left).Error; err != nil {
			return err
		}
		if left > 0 {
			return Conflict(fmt.Sprintf("%d of this range's addresses are in use or resting. Disable the range, and remove it when they are free.", left))
		}
		if err := w.tx.Where("id = ?", id).Delete(&PublicIPRange{}).Error; err != nil {
			return err
		}
		return w.told(ActionConfigChange, have.object(), have.words(), nil)
	})
}
