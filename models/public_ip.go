package models

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// IPState is where an address of the provider's ranges stands.
type IPState string

const (
	IPFree        IPState = "free"        // anybody may take it
	IPAssigned    IPState = "assigned"    // an org's
	IPReleasing   IPState = "releasing"   // given back; the gateway has not confirmed yet
	IPQuarantined IPState = "quarantined" // confirmed; rests, so that no old traffic meets a new org
)

// OrgIP is one public address of an org.
type OrgIP struct {
	ID                 IPID `gorm:"primaryKey"`
	OrgID              OrgID
	RangeID            string
	Address            string
	State              IPState
	PricePerHourMicros int64 // as accepted
	AssignedAt         *time.Time
	ReleasedAt         *time.Time
	ReleaseGeneration  int64 // the generation that is without it
}

func (*OrgIP) TableName() string { return "public_ips" }

// Object is how the history names the address.
func (p *OrgIP) Object() Object {
	return Object{Kind: "public_ip", ID: string(p.ID), Name: p.Address}
}

// openIP is an address that may be nobody's: its org is a plain string, so that
// a free one can be seen and taken. Every statement on it says which state.
type openIP struct {
	ID                 IPID `gorm:"primaryKey"`
	OrgID              *string
	Address            string
	State              IPState
	PricePerHourMicros int64
	AssignedAt         *time.Time
	ReleasedAt         *time.Time
	QuarantineUntil    *time.Time
	ReleaseGeneration  int64
}

func (openIP) TableName() string { return "public_ips" }

// PublicIPs lists the org's addresses, those on their way out too.
func (r *Reader) PublicIPs() ([]OrgIP, error) {
	var rows []OrgIP
	return rows, r.tx.Order("assigned_at, address").Find(&rows, "state IN ?", []IPState{IPAssigned, IPReleasing}).Error
}

// PublicIP returns one of them.
func (r *Reader) PublicIP(id IPID) (OrgIP, error) {
	var p OrgIP
	return p, absent(r.tx.Take(&p, "id = ?", id).Error, "public IP")
}

// Offer is the price of the next free address.
type Offer struct {
	Available          bool
	PricePerHourMicros int64
}

// freeIPs are the addresses that can be taken now, cheapest first.
func (r *Reader) freeIPs() *gorm.DB {
	return r.tx.Model(&openIP{}).
		Joins("JOIN public_ip_ranges ON public_ip_ranges.id = public_ips.range_id AND public_ip_ranges.disabled_at IS NULL").
		Where("public_ips.state = ?", IPFree).Order("public_ip_ranges.price_per_hour_micros, public_ips.position").Limit(1)
}

// PublicIPOffer says what another address would cost.
func (r *Reader) PublicIPOffer() (Offer, error) {
	var prices []int64
	err := r.freeIPs().Pluck("public_ip_ranges.price_per_hour_micros", &prices).Error
	if err != nil || len(prices) == 0 {
		return Offer{}, err
	}
	return Offer{Available: true, PricePerHourMicros: prices[0]}, nil
}

// TakePublicIP gives the org a free address at no more than the price that was
// accepted. Quota and address go together; the row's lock decides who gets it.
// What machines send leaves by the org's first one.
func (w *Writer) TakePublicIP(accepted int64) (OrgIP, error) {
	g, err := w.networkChanged(w.scope.org)
	if err != nil {
		return OrgIP{}, err
	}
	offer, err := w.PublicIPOffer()
	if err != nil {
		return OrgIP{}, err
	}
	if offer.Available && offer.PricePerHourMicros > accepted {
		return OrgIP{}, Conflict("The price has changed since this page was opened. Nothing was taken; look at the new price.")
	}
	p, err := w.takePublicIP(offer.PricePerHourMicros)
	if err == nil && g.OutboundIPID == nil && !g.OutboundOff {
		err = w.SetOutbound(p.ID)
	}
	return p, err
}

func (w *Writer) takePublicIP(price int64) (OrgIP, error) {
	if err := w.TakeQuota(Amounts{ResourcePublicIPs: 1}); err != nil {
		return OrgIP{}, err
	}
	next := w.skipLocked("public_ips", w.freeIPs().Select("public_ips.id"))
	var row openIP
	done := w.tx.Model(&row).Clauses(clause.Returning{}).Where("id = (?)", next).Where("state = ?", IPFree).Updates(map[string]any{
		"org_id": string(w.scope.org), "state": IPAssigned, "assigned_at": Now(), "released_at": nil, "quarantine_until": nil,
		"price_per_hour_micros": price, "release_generation": 0,
	})
	if done.Error != nil {
		return OrgIP{}, done.Error
	}
	if done.RowsAffected == 0 {
		return OrgIP{}, &Error{Code: CodeQuota, Message: "No public IP is free just now. Ask your provider for more."}
	}
	p := OrgIP{ID: row.ID, OrgID: w.scope.org, Address: row.Address, State: row.State, PricePerHourMicros: price, AssignedAt: row.AssignedAt}
	return p, w.Record(Event{Action: ActionPublicIPTake, Object: p.Object(), Outcome: OutcomeSucceeded,
		After: map[string]any{"address": p.Address, "price_per_hour_micros": price}})
}

// Uses names what uses each of the org's addresses, for people.
func (r *Reader) Uses() (map[IPID][]string, error) {
	g, err := r.Gateway()
	if err != nil {
		return nil, err
	}
	uses := map[IPID][]string{}
	if g.OutboundIPID != nil {
		uses[*g.OutboundIPID] = []string{"what the machines send out"}
	}
	var taken []struct {
		PublicIPID IPID `gorm:"column:public_ip_id"`
		Service    string
	}
	err = r.tx.Model(&PublicEndpoint{}).Select("public_endpoints.public_ip_id, COALESCE(s.name, '') AS service").
		Joins("LEFT JOIN internet_services s ON s.org_id = public_endpoints.org_id AND s.id = public_endpoints.service_id").
		Order("CASE WHEN public_endpoints.vpn_id IS NULL THEN 0 ELSE 1 END, s.name").Scan(&taken).Error
	for _, e := range taken {
		use := "the service " + e.Service
		if e.Service == "" {
			use = "the VPN"
		}
		uses[e.PublicIPID] = append(uses[e.PublicIPID], use)
	}
	return uses, err
}

// ReleasePublicIP gives an unused address back. It stays the org's, releasing,
// until the gateway has confirmed that nothing there uses it.
func (w *Writer) ReleasePublicIP(id IPID) error {
	g, err := w.networkChanged(w.scope.org)
	if err != nil {
		return err
	}
	p, err := w.PublicIP(id)
	if err != nil {
		return err
	}
	uses, err := w.Uses()
	if err != nil {
		return err
	}
	if len(uses[id]) > 0 {
		return Conflict(p.Address + " is in use by " + few(uses[id]) + ". Take it out of use first, then release it.")
	}
	done := w.tx.Model(&OrgIP{}).Where("id = ? AND state = ?", id, IPAssigned).Updates(map[string]any{
		"state": IPReleasing, "released_at": Now(), "release_generation": g.Generation})
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 {
		return Conflict(p.Address + " is on its way back already.")
	}
	return w.Record(Event{Action: ActionPublicIPRelease, Object: p.Object(), Outcome: OutcomeAccepted,
		Before: map[string]any{"state": IPAssigned}, After: map[string]any{"state": IPReleasing}})
}

// SetOutbound makes an address of the org the one that its machines are seen
// to come from.
func (w *Writer) SetOutbound(id IPID) error {
	g, err := w.networkChanged(w.scope.org)
	if err != nil {
		return err
	}
	p, err := w.PublicIP(id)
	if err != nil {
		return err
	}
	if p.State != IPAssigned {
		return Conflict(p.Address + " is on its way back to the provider.")
	}
	var before map[string]any
	if g.OutboundIPID != nil {
		old, err := w.PublicIP(*g.OutboundIPID)
		if err != nil {
			return err
		}
		before = map[string]any{"address": old.Address}
	}
	if err := w.putOutbound(&id); err != nil {
		return err
	}
	return w.Record(Event{Action: ActionOutboundSet, Object: p.Object(), Outcome: OutcomeSucceeded, Before: before, After: map[string]any{"address": p.Address}})
}

// StopOutbound turns outbound NAT off: what machines send leaves by no address
// any more, until SetOutbound names one.
func (w *Writer) StopOutbound() error {
	g, err := w.networkChanged(w.scope.org)
	if err != nil {
		return err
	}
	if g.OutboundIPID == nil {
		return Conflict("Outbound NAT is off already.")
	}
	p, err := w.PublicIP(*g.OutboundIPID)
	if err != nil {
		return err
	}
	if err := w.putOutbound(nil); err != nil {
		return err
	}
	return w.Record(Event{Action: ActionOutboundSet, Object: p.Object(), Outcome: OutcomeSucceeded,
		Before: map[string]any{"address": p.Address}, After: map[string]any{"address": "none"}})
}

func (w *Writer) putOutbound(id *IPID) error {
	return w.tx.Model(&OrgGateway{}).Where("org_id = ?", w.scope.org).Updates(map[string]any{
		"outbound_ip_id": id, "outbound_off": id == nil}).Error
}

// quarantine takes confirmed addresses from the org: those that the gateway
// lists, and those that a generation without them has replaced. An org's own
// transaction can't do this: the row leaves its sight.
func (s *System) quarantine(ctx context.Context, org OrgID, released []string, applied int64, rest time.Duration) error {
	return s.changing(ctx, func(w *Writer) error {
		var rows []OrgIP
		err := w.tx.Where("org_id = ? AND state = ? AND (address IN ? OR (release_generation > 0 AND release_generation <= ?))",
			org, IPReleasing, append(released, ""), applied).Find(&rows).Error
		if err != nil {
			return err
		}
		for i := range rows {
			p := &rows[i]
			done := w.tx.Model(&openIP{}).Where("id = ? AND state = ?", p.ID, IPReleasing).Updates(map[string]any{
				"state": IPQuarantined, "org_id": nil, "quarantine_until": Now().Add(rest)})
			if done.Error != nil {
				return done.Error
			}
			if done.RowsAffected == 0 {
				continue
			}
			err := w.tx.Model(&Quota{}).Where("org_id = ? AND resource = ?", org, ResourcePublicIPs).Update("used", exprAdd("used", -1)).Error
			if err != nil {
				return err
			}
			w.touchOf(org, "gateway", string(org))
			err = w.recordFor(org, Event{Action: ActionPublicIPRelease, Object: p.Object(), Outcome: OutcomeSucceeded,
				After: map[string]any{"state": IPQuarantined}})
			if err != nil {
				return err
			}
		}
		return w.freeVLANs(org, applied)
	})
}

// QuarantineUnserved confirms releases of orgs that no gateway carries: there
// is nobody who could still use the address, or the VLAN.
func (s *System) QuarantineUnserved(ctx context.Context, rest time.Duration) error {
	var orgs []OrgID
	err := s.reading(ctx, func(r *Reader) error {
		return r.tx.Model(&OrgIP{}).Joins("LEFT JOIN org_gateways g ON g.org_id = public_ips.org_id").
			Where("public_ips.state = ? AND g.edge_id IS NULL", IPReleasing).Distinct().Pluck("public_ips.org_id", &orgs).Error
	})
	if err != nil {
		return err
	}
	var links []OrgID
	err = s.reading(ctx, func(r *Reader) error {
		return r.tx.Model(&networkVLAN{}).Joins("LEFT JOIN org_gateways g ON g.org_id = network_vlans.org_id").
			Where("network_vlans.release_generation > 0 AND g.edge_id IS NULL").Distinct().Pluck("network_vlans.org_id", &links).Error
	})
	for _, org := range links {
		if !slices.Contains(orgs, org) {
			orgs = append(orgs, org)
		}
	}
	for _, org := range orgs {
		if err != nil {
			break
		}
		err = s.quarantine(ctx, org, nil, 1<<62, rest)
	}
	return err
}

// EndQuarantines frees the addresses whose rest is over.
func (s *System) EndQuarantines(ctx context.Context) error {
	return s.changing(ctx, func(w *Writer) error {
		return w.tx.Model(&openIP{}).Where("state = ? AND quarantine_until <= ?", IPQuarantined, Now()).
			Updates(map[string]any{"state": IPFree, "quarantine_until": nil, "released_at": nil}).Error
	})
}

// EnsureOutbound gives each org that a gateway carries a public address for
// what its machines send, where there is one free and room in its quota. This
// first one costs nothing: nobody was asked for a price.
func (s *System) EnsureOutbound(ctx context.Context) error {
	var orgs []OrgID
	err := s.reading(ctx, func(r *Reader) error {
		return r.tx.Model(&OrgGateway{}).Where("edge_id IS NOT NULL AND outbound_ip_id IS NULL AND outbound_off = ?", false).Pluck("org_id", &orgs).Error
	})
	if err != nil {
		return err
	}
	for _, org := range orgs {
		err := s.Within(ctx, org, SystemActor, func(w *Writer) error {
			g, err := w.networkChanged(org)
			if err != nil || g.OutboundIPID != nil || g.OutboundOff {
				return err
			}
			p, err := w.takePublicIP(0)
			if err != nil {
				return err
			}
			return w.SetOutbound(p.ID)
		})
		if err != nil && CodeOf(err) != CodeQuota {
			return fmt.Errorf("public address of org %s: %w", org, err)
		}
	}
	return nil
}
