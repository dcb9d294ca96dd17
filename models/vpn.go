package models

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gorm.io/gorm"
)

// VPNGateway is the org's WireGuard end. Its private key is sealed.
type VPNGateway struct {
	ID         VPNID `gorm:"primaryKey"`
	OrgID      OrgID
	PublicKey  string // base64
	PrivateKey []byte // sealed
	CIDR       string `gorm:"column:cidr"` // the tunnel's own network
	Address    string // the gateway's in it
	FirstIP    int64  `gorm:"column:first_ip"`
	LastIP     int64  `gorm:"column:last_ip"`
	Mapped     string // where it really listens, if elsewhere: the gateway says so
	CreatedAt  time.Time
}

// VPNPeer is one user's device.
type VPNPeer struct {
	ID            PeerID `gorm:"primaryKey"`
	OrgID         OrgID
	VPNID         VPNID `gorm:"column:vpn_id"`
	UserID        UserID
	Device        string
	PublicKey     string // base64; the private one is the device's
	Address       string // in the tunnel's network
	CreatedAt     time.Time
	RevokedAt     *time.Time
	LastHandshake *time.Time
	BytesIn       int64
	BytesOut      int64
}

// PeerRow is a device with its user's name.
type PeerRow struct {
	VPNPeer
	UserName string
}

// Object is how the history names the device.
func (p *PeerRow) Object() Object {
	return Object{Kind: "vpn_peer", ID: string(p.ID), Name: p.Device + " of " + p.UserName}
}

// VPNRow is the org's VPN with where it listens.
type VPNRow struct {
	VPNGateway
	PublicAddress string
	Port          int
}

// Endpoint is where a device finds it.
func (v *VPNRow) Endpoint() string {
	if v.Mapped != "" {
		return v.Mapped
	}
	return fmt.Sprintf("%s:%d", v.PublicAddress, v.Port)
}

// VPNPort is WireGuard's own.
const VPNPort = 51820

// VPN returns the org's. Before there is one it is ErrNotFound.
func (r *Reader) VPN() (VPNRow, error) {
	var v VPNRow
	err := r.tx.Model(&VPNGateway{}).Select("vpn_gateways.*, p.address AS public_address, e.port").
		Joins("JOIN public_endpoints e ON e.org_id = vpn_gateways.org_id AND e.vpn_id = vpn_gateways.id").
		Joins("JOIN public_ips p ON p.org_id = e.org_id AND p.id = e.public_ip_id").
		Where("vpn_gateways.org_id = ?", r.scope.org).Take(&v).Error
	return v, absent(err, "VPN")
}

// tunnels are tried in this order for a new VPN: ranges that hardly anybody
// has, and that the org's own networks don't touch.
var tunnels = []string{"100.96.0.0/24", "100.97.0.0/24", "10.254.0.0/24", "172.30.254.0/24", "192.168.254.0/24"}

// CreateVPN makes the org's WireGuard end on one of its public addresses.
func (w *Writer) CreateVPN(ip IPID, publicKey, privateKey string) (VPNRow, error) {
	if _, err := w.networkChanged(w.scope.org); err != nil {
		return VPNRow{}, err
	}
	var have int64
	if err := w.tx.Model(&VPNGateway{}).Count(&have).Error; err != nil {
		return VPNRow{}, err
	}
	if have > 0 {
		return VPNRow{}, Conflict("The org has its VPN already.")
	}
	p, err := w.usableIP(ip)
	if err != nil {
		return VPNRow{}, err
	}
	networks, err := w.Networks()
	if err != nil {
		return VPNRow{}, err
	}
	v := VPNRow{VPNGateway: VPNGateway{ID: NewID[VPNID](), OrgID: w.scope.org, PublicKey: publicKey, CreatedAt: Now()},
		PublicAddress: p.Address, Port: VPNPort}
	for _, text := range tunnels {
		prefix := netip.MustParsePrefix(text)
		first, last := bounds(prefix)
		free := true
		for _, n := range networks {
			free = free && (n.FirstIP > last || n.LastIP < first)
		}
		if free {
			v.CIDR, v.FirstIP, v.LastIP, v.Address = text, first, last, hostAddress(prefix, 1).String()
			break
		}
	}
	if v.CIDR == "" {
		return v, Conflict("The org's networks leave no room for the VPN's own. Delete one of those in 100.96.0.0/15.")
	}
	v.PrivateKey = w.db.sealSecret(string(v.ID), privateKey)
	err = w.tx.Create(&v.VPNGateway).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return v, Conflict("The org has its VPN already.")
	}
	if err != nil {
		return v, err
	}
	if err := w.claim(PublicEndpoint{PublicIPID: ip, L4: "udp", Port: VPNPort, OrgID: w.scope.org, VPNID: &v.ID}); err != nil {
		return v, err
	}
	return v, w.Record(Event{Action: ActionVPNCreate, Object: Object{Kind: "vpn", ID: string(v.ID), Name: "VPN"}, Outcome: OutcomeSucceeded,
		After: map[string]any{"public_ip": p.Address, "port": VPNPort, "cidr": v.CIDR}})
}

// Peers lists the devices that may come in: one user's, or with "" all.
func (r *Reader) Peers(user UserID) ([]PeerRow, error) {
	q := r.peerRows().Where("vpn_peers.revoked_at IS NULL")
	if user != "" {
		q = q.Where("vpn_peers.user_id = ?", user)
	}
	var rows []PeerRow
	return rows, q.Order("u.name, vpn_peers.device").Find(&rows).Error
}

func (r *Reader) peerRows() *gorm.DB {
	return r.tx.Model(&VPNPeer{}).Select("vpn_peers.*, COALESCE(u.name, '') AS user_name").
		Joins("LEFT JOIN users u ON u.id = vpn_peers.user_id")
}

// Peer returns one device.
func (r *Reader) Peer(id PeerID) (PeerRow, error) {
	var row PeerRow
	return row, absent(r.peerRows().Where("vpn_peers.id = ?", id).Take(&row).Error, "device")
}

// AddPeer lets a device of the user in, with the next free tunnel address.
func (w *Writer) AddPeer(user UserID, device, publicKey string) (PeerRow, error) {
	if _, err := w.networkChanged(w.scope.org); err != nil {
		return PeerRow{}, err
	}
	v, err := w.VPN()
	if err != nil {
		return PeerRow{}, err
	}
	// The right to it may have gone while this waited for its turn: whoever
	// ends a membership shuts out the devices that there are by then.
	p, err := w.member(w.scope.org, user)
	if err == nil && p.Active() && p.Role.May(VPNUse) {
		return w.addPeer(v, user, device, publicKey)
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		err = Forbidden("Your role in this org lets no device in any more.")
	}
	return PeerRow{}, err
}

func (w *Writer) addPeer(v VPNRow, user UserID, device, publicKey string) (PeerRow, error) {
	var taken []string
	if err := w.tx.Model(&VPNPeer{}).Where("revoked_at IS NULL").Pluck("address", &taken).Error; err != nil {
		return PeerRow{}, err
	}
	used := map[string]bool{v.Address: true}
	for _, a := range taken {
		used[a] = true
	}
	prefix, err := netip.ParsePrefix(v.CIDR)
	if err != nil {
		return PeerRow{}, err
	}
	address := ""
	for host := int64(2); host < v.LastIP-v.FirstIP && address == ""; host++ {
		if a := hostAddress(prefix, host).String(); !used[a] {
			address = a
		}
	}
	if address == "" {
		return PeerRow{}, &Error{Code: CodeQuota, Message: "The VPN has no room for another device. Revoke one that is not used."}
	}
	p := VPNPeer{ID: NewID[PeerID](), OrgID: w.scope.org, VPNID: v.ID, UserID: user, Device: device, PublicKey: publicKey, Address: address, CreatedAt: Now()}
	err = w.tx.Create(&p).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return PeerRow{}, Invalid(map[string]string{"device": "You have a device of this name, or this key is in use. Choose another name, or make a new key."})
	}
	if err != nil {
		return PeerRow{}, err
	}
	row, err := w.Peer(p.ID)
	if err != nil {
		return row, err
	}
	return row, w.Record(Event{Action: ActionVPNPeerAdd, Object: row.Object(), Outcome: OutcomeSucceeded,
		After: map[string]any{"device": device, "address": address, "public_key": publicKey}})
}

// RevokePeer shuts a device out.
func (w *Writer) RevokePeer(id PeerID) error {
	if _, err := w.networkChanged(w.scope.org); err != nil {
		return err
	}
	p, err := w.Peer(id)
	if err != nil {
		return err
	}
	return w.shutOut(&p)
}

func (w *Writer) shutOut(p *PeerRow) error {
	done := w.tx.Model(&VPNPeer{}).Where("id = ? AND revoked_at IS NULL", p.ID).Update("revoked_at", Now())
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 {
		return Conflict("This device is shut out already.")
	}
	return w.recordFor(p.OrgID, Event{Action: ActionVPNPeerRevoke, Object: p.Object(), Outcome: OutcomeSucceeded,
		Before: map[string]any{"device": p.Device, "address": strings.TrimSpace(p.Address), "public_key": p.PublicKey}})
}
