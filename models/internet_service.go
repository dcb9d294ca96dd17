package models

import (
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
)

// ServiceProtocol is what a service speaks.
type ServiceProtocol string

const (
	ServiceTCP  ServiceProtocol = "tcp"
	ServiceUDP  ServiceProtocol = "udp"
	ServiceHTTP ServiceProtocol = "http"
)

// ServiceProtocols in the order of a menu.
var ServiceProtocols = []ServiceProtocol{ServiceTCP, ServiceHTTP, ServiceUDP}

// L4 is the transport: ports are compared by it.
func (p ServiceProtocol) L4() string {
	if p == ServiceUDP {
		return "udp"
	}
	return "tcp"
}

// Balancing is how a node is chosen for a connection.
type Balancing string

const (
	BalanceLeast  Balancing = "least_connections"
	BalanceRound  Balancing = "round_robin"
	BalanceSource Balancing = "source_address"
)

// Balancings in the order of a menu.
var Balancings = []Balancing{BalanceLeast, BalanceRound, BalanceSource}

// InternetService is a public IP and port with nodes behind it. Its endpoint is
// a row of public_endpoints.
type InternetService struct {
	ID                 ServiceID `gorm:"primaryKey"`
	OrgID              OrgID
	Name               string
	Mark               int // of its connections on the gateway, 1 to 65535
	Protocol           ServiceProtocol
	Enabled            bool
	Balancing          Balancing
	MonitorKind        string // "", tcp, http
	MonitorPath        string
	MonitorStatus      int // 0: any 2xx or 3xx
	IdleTimeoutSeconds int
	Sources            string // CIDRs, by space
	PricePerHourMicros int64  // as accepted
	Generation         int64  // of its last change, nodes included
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

// SourceList is who may come.
func (s *InternetService) SourceList() []string { return strings.Fields(s.Sources) }

// Object is how the history names the service.
func (s *InternetService) Object() Object {
	return Object{Kind: "service", ID: string(s.ID), Name: s.Name}
}

func (s *InternetService) facts(address string, port int) map[string]any {
	return map[string]any{"name": s.Name, "public_ip": address, "port": port, "protocol": s.Protocol, "enabled": s.Enabled,
		"balancing": s.Balancing, "monitor": s.MonitorKind, "path": s.MonitorPath, "status": s.MonitorStatus,
		"idle_timeout_seconds": s.IdleTimeoutSeconds, "sources": s.SourceList(), "price_per_hour_micros": s.PricePerHourMicros}
}

// ServiceRow is a service with its endpoint and what the gateway says of it.
type ServiceRow struct {
	InternetService
	PublicIPID  IPID   `gorm:"column:public_ip_id"`
	Address     string // the public one
	Port        int
	Mapped      string // where it really listens, if elsewhere
	OpenNow     int
	BytesIn     int64
	BytesOut    int64
	Connections int64
	Nodes       []NodeRow `gorm:"-"`
}

func (r *Reader) serviceRows() *gorm.DB {
	return r.tx.Model(&InternetService{}).Select(`internet_services.*, e.public_ip_id, e.port, p.address,
		COALESCE(st.mapped, '') AS mapped, COALESCE(st.open_now, 0) AS open_now,
		COALESCE(c.bytes_in, 0) AS bytes_in, COALESCE(c.bytes_out, 0) AS bytes_out, COALESCE(c.connections, 0) AS connections`).
		Joins("JOIN public_endpoints e ON e.org_id = internet_services.org_id AND e.service_id = internet_services.id").
		Joins("JOIN public_ips p ON p.org_id = e.org_id AND p.id = e.public_ip_id").
		Joins("LEFT JOIN service_status st ON st.org_id = internet_services.org_id AND st.service_id = internet_services.id").
		Joins(`LEFT JOIN (SELECT org_id, service_id, SUM(bytes_in) AS bytes_in, SUM(bytes_out) AS bytes_out, SUM(connections) AS connections
			FROM service_counters GROUP BY org_id, service_id) c ON c.org_id = internet_services.org_id AND c.service_id = internet_services.id`)
}

// Services lists the org's services by name, nodes included.
func (r *Reader) Services() ([]ServiceRow, error) {
	var rows []ServiceRow
	if err := r.serviceRows().Order("internet_services.name").Find(&rows).Error; err != nil {
		return nil, err
	}
	nodes, err := r.nodes(func(q *gorm.DB) *gorm.DB { return q })
	byService := map[ServiceID][]NodeRow{}
	for _, n := range nodes {
		byService[n.ServiceID] = append(byService[n.ServiceID], n)
	}
	for i := range rows {
		rows[i].Nodes = byService[rows[i].ID]
	}
	return rows, err
}

// Service returns one of them.
func (r *Reader) Service(id ServiceID) (ServiceRow, error) {
	var s ServiceRow
	if err := absent(r.serviceRows().Where("internet_services.id = ?", id).Take(&s).Error, "service"); err != nil {
		return s, err
	}
	var err error
	s.Nodes, err = r.nodes(func(q *gorm.DB) *gorm.DB { return q.Where("service_nodes.service_id = ?", id) })
	return s, err
}

// ServiceEndpoint is where a service is to listen.
type ServiceEndpoint struct {
	PublicIPID IPID
	Port       int
}

// CreateService stores a service and takes its port.
func (w *Writer) CreateService(s *InternetService, at ServiceEndpoint) error {
	g, err := w.networkChanged(w.scope.org)
	if err != nil {
		return err
	}
	s.ID, s.OrgID, s.Generation, s.CreatedAt = NewID[ServiceID](), w.scope.org, g.Generation, Now()
	s.UpdatedAt = s.CreatedAt
	if s.Mark, err = w.takeMark(g); err != nil {
		return err
	}
	p, err := w.usableIP(at.PublicIPID)
	if err != nil {
		return err
	}
	if err := w.storeService(w.tx.Create(s).Error); err != nil {
		return err
	}
	if err := w.claim(PublicEndpoint{PublicIPID: p.ID, L4: s.Protocol.L4(), Port: at.Port, OrgID: s.OrgID, ServiceID: &s.ID}); err != nil {
		return err
	}
	w.touch("service", string(s.ID))
	return w.Record(Event{Action: ActionServiceCreate, Object: s.Object(), Outcome: OutcomeSucceeded, After: s.facts(p.Address, at.Port)})
}

func (w *Writer) usableIP(id IPID) (OrgIP, error) {
	p, err := w.PublicIP(id)
	if err != nil || p.State != IPAssigned {
		return p, Invalid(map[string]string{"public_ip": "Choose one of the org's public IPs."})
	}
	return p, nil
}

func (w *Writer) storeService(err error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Invalid(map[string]string{"name": "Another service has this name. Choose a different one."})
	}
	return err
}

// takeMark gives the next mark that no service has; one that was freed comes
// again only after all the others.
func (w *Writer) takeMark(g OrgGateway) (int, error) {
	var used []int
	if err := w.tx.Model(&InternetService{}).Order("mark").Pluck("mark", &used).Error; err != nil {
		return 0, err
	}
	taken := make(map[int]bool, len(used))
	for _, m := range used {
		taken[m] = true
	}
	mark := g.NextMark
	for range 65536 {
		if mark > 65535 || mark < 1 {
			mark = 1
		}
		if !taken[mark] {
			return mark, w.tx.Model(&OrgGateway{}).Where("org_id = ?", w.scope.org).Update("next_mark", mark+1).Error
		}
		mark++
	}
	return 0, &Error{Code: CodeQuota, Message: "An org has at most 65,535 services. Delete one that is not needed."}
}

// ChangeService stores what was edited: everything but id, mark and price.
func (w *Writer) ChangeService(s InternetService, at ServiceEndpoint) error {
	g, err := w.networkChanged(w.scope.org)
	if err != nil {
		return err
	}
	old, err := w.Service(s.ID)
	if err != nil {
		return err
	}
	p, err := w.usableIP(at.PublicIPID)
	if err != nil {
		return err
	}
	err = w.tx.Model(&InternetService{}).Where("id = ?", s.ID).Updates(map[string]any{
		"name": s.Name, "protocol": s.Protocol, "enabled": s.Enabled, "balancing": s.Balancing, "monitor_kind": s.MonitorKind,
		"monitor_path": s.MonitorPath, "monitor_status": s.MonitorStatus, "idle_timeout_seconds": s.IdleTimeoutSeconds,
		"sources": s.Sources, "generation": g.Generation, "updated_at": Now(),
	}).Error
	if err := w.storeService(err); err != nil {
		return err
	}
	if err := w.claim(PublicEndpoint{PublicIPID: p.ID, L4: s.Protocol.L4(), Port: at.Port, OrgID: old.OrgID, ServiceID: &s.ID}); err != nil {
		return err
	}
	s.PricePerHourMicros = old.PricePerHourMicros
	w.touch("service", string(s.ID))
	return w.Record(Event{Action: ActionServiceChange, Object: s.Object(), Outcome: OutcomeSucceeded,
		Before: old.facts(old.Address, old.Port), After: s.facts(p.Address, at.Port)})
}

// DeleteService removes a service, its nodes and its hold on the port.
func (w *Writer) DeleteService(id ServiceID) error {
	if _, err := w.networkChanged(w.scope.org); err != nil {
		return err
	}
	s, err := w.Service(id)
	if err != nil {
		return err
	}
	if err := w.tx.Where("service_id = ?", id).Delete(&PublicEndpoint{}).Error; err != nil {
		return err
	}
	if err := w.tx.Where("id = ?", id).Delete(&InternetService{}).Error; err != nil {
		return err
	}
	w.touch("service", string(id))
	before := s.facts(s.Address, s.Port)
	before["nodes"] = len(s.Nodes)
	return w.Record(Event{Action: ActionServiceDelete, Object: s.Object(), Outcome: OutcomeSucceeded, Before: before})
}
