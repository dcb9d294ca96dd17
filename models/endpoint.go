package models

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// PublicEndpoint is a port of a public address, taken by whichever feature: the
// one table in which the database refuses the same one twice.
type PublicEndpoint struct {
	PublicIPID IPID   `gorm:"primaryKey;column:public_ip_id"`
	L4         string `gorm:"primaryKey;column:l4_protocol"` // tcp or udp; HTTP counts as TCP
	Port       int    `gorm:"primaryKey"`
	OrgID      OrgID
	ServiceID  *ServiceID
	VPNID      *VPNID `gorm:"column:vpn_id"`
}

// claim takes a port. One that is taken is refused with the name of what has it.
func (w *Writer) claim(e PublicEndpoint) error {
	var have PublicEndpoint
	err := w.tx.Limit(1).Find(&have, "public_ip_id = ? AND l4_protocol = ? AND port = ?", e.PublicIPID, e.L4, e.Port).Error
	if err != nil {
		return err
	}
	if have.PublicIPID != "" {
		if sameOwner(have, e) {
			return nil
		}
		return w.portTaken(have)
	}
	mine := w.tx.Model(&PublicEndpoint{}).Where("service_id = ?", e.ServiceID)
	if e.VPNID != nil {
		mine = w.tx.Model(&PublicEndpoint{}).Where("vpn_id = ?", e.VPNID)
	}
	done := mine.Updates(map[string]any{"public_ip_id": e.PublicIPID, "l4_protocol": e.L4, "port": e.Port})
	err = done.Error
	if err == nil && done.RowsAffected == 0 {
		err = w.tx.Create(&e).Error
	}
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return portInUse(e, "something else")
	case errors.Is(err, gorm.ErrForeignKeyViolated):
		return Invalid(map[string]string{"public_ip": "Choose one of the org's public IPs."})
	}
	return err
}

func sameOwner(a, b PublicEndpoint) bool {
	return a.ServiceID != nil && b.ServiceID != nil && *a.ServiceID == *b.ServiceID || a.VPNID != nil && b.VPNID != nil && *a.VPNID == *b.VPNID
}

func (r *Reader) portTaken(have PublicEndpoint) error {
	if have.ServiceID == nil {
		return portInUse(have, "the VPN")
	}
	var s InternetService
	if err := r.tx.Take(&s, "id = ?", *have.ServiceID).Error; err != nil {
		return absent(err, "service")
	}
	return portInUse(have, "the service "+s.Name)
}

func portInUse(e PublicEndpoint, by string) error {
	return Invalid(map[string]string{"port": fmt.Sprintf("%s port %d of this public IP is taken by %s. Choose another port or another IP.",
		strings.ToUpper(e.L4), e.Port, by)})
}

// ReservedPort is one that no service may have.
type ReservedPort struct {
	L4     string `gorm:"primaryKey;column:l4_protocol"`
	Port   int    `gorm:"primaryKey"`
	ForVPN bool   `gorm:"column:for_vpn"` // the VPN alone may
}

// PutReservedPorts replaces the list. What has such a port already keeps it.
func (s *System) PutReservedPorts(ctx context.Context, ports []ReservedPort) error {
	return s.changing(ctx, func(w *Writer) error {
		if err := w.tx.Where("port > 0").Delete(&ReservedPort{}).Error; err != nil {
			return err
		}
		if len(ports) == 0 {
			return nil
		}
		return w.tx.Create(&ports).Error
	})
}

// PortProblem says why a service can't have a port, as the database would by
// and by; "" where it can just now. A service that there isn't yet is "", and so
// is a public IP that is still to be given.
func (r *Reader) PortProblem(id ServiceID, l4 string, at ServiceEndpoint) (string, error) {
	var have PublicEndpoint
	err := r.tx.Limit(1).Find(&have, "public_ip_id = ? AND l4_protocol = ? AND port = ?", at.PublicIPID, l4, at.Port).Error
	switch {
	case err != nil:
		return "", err
	case have.ServiceID != nil && *have.ServiceID == id:
		return "", nil
	case have.PublicIPID != "":
		err := r.portTaken(have)
		if fields := FieldsOf(err); len(fields) > 0 {
			return fields["port"], nil
		}
		return "", err
	}
	var reserved int64
	err = r.tx.Model(&ReservedPort{}).Where("l4_protocol = ? AND port = ?", l4, at.Port).Count(&reserved).Error
	if err != nil || reserved == 0 {
		return "", err
	}
	return refusals["port_reserved"].sentence, nil
}

// ReservedPorts lists them, for the form to say before the database does.
func (r *Reader) ReservedPorts() ([]ReservedPort, error) {
	var rows []ReservedPort
	return rows, r.tx.Order("port").Find(&rows).Error
}
