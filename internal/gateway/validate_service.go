package gateway

import (
	"fmt"
	"regexp"

	"github.com/millwright/millwright/internal/edge"
)

// Idle timeouts of a service, in seconds: what it gets that says none, and the
// most.
const (
	idleDefault = 3600
	idleMost    = 7 * 24 * 3600
)

func (c *orgCheck) service(s *edge.Service) ([]edge.Blame, error) {
	if err := c.id(s.ID); err != nil {
		return nil, err
	}
	if s.Mark < 1 || s.Mark > 65535 {
		return nil, fmt.Errorf("mark %d is not from 1 to 65535", s.Mark)
	}
	if c.marks[s.Mark] {
		return nil, fmt.Errorf("mark %d is used twice", s.Mark)
	}
	l4 := s.Protocol
	switch s.Protocol {
	case edge.ProtocolHTTP:
		l4 = edge.ProtocolTCP
	case edge.ProtocolTCP, edge.ProtocolUDP:
	default:
		return nil, fmt.Errorf("protocol %q is none of tcp, udp and http", s.Protocol)
	}
	switch s.Balancing {
	case edge.BalanceLeast, edge.BalanceRound, edge.BalanceSource:
	case "":
		s.Balancing = edge.BalanceLeast
	default:
		return nil, fmt.Errorf("balancing %q is not known", s.Balancing)
	}
	if err := port(s.Port); err != nil {
		return nil, err
	}
	if s.IdleTimeoutSeconds < 0 || s.IdleTimeoutSeconds > idleMost {
		return nil, fmt.Errorf("idle timeout of %d s is not from 1 to %d", s.IdleTimeoutSeconds, idleMost)
	}
	if s.IdleTimeoutSeconds == 0 {
		s.IdleTimeoutSeconds = idleDefault
	}
	sources := make([]string, 0, len(s.Sources))
	for _, text := range s.Sources {
		p, err := cidr(text)
		if err != nil {
			return nil, fmt.Errorf("source: %w", err)
		}
		sources = append(sources, p.String())
	}
	s.Sources = disjoint(sources)
	if s.Monitor != nil {
		m := *s.Monitor
		if err := monitor(&m); err != nil {
			return nil, err
		}
		s.Monitor = &m
	}
	// Last, because it takes the address for the org.
	a, err := c.publicIP(s.PublicIP)
	if err != nil {
		return nil, err
	}
	s.PublicIP = a.String()
	at := fmt.Sprintf("%s/%s/%d", a, l4, s.Port)
	if c.ports[at] {
		return nil, fmt.Errorf("%s port %d on %s is taken", l4, s.Port, a)
	}
	c.ports[at] = true
	c.marks[s.Mark] = true
	var failed []edge.Blame
	seen := map[string]bool{}
	nodes := make([]edge.Node, 0, len(s.Nodes))
	for _, n := range s.Nodes {
		a, err := c.machine(n.Address)
		if err == nil {
			err = port(n.Port)
		}
		if err == nil {
			err = c.id(n.ID)
		}
		if at := fmt.Sprintf("%s:%d", a, n.Port); err == nil && seen[at] {
			err = fmt.Errorf("%s is a node of this service already", at)
		} else {
			seen[at] = true
		}
		if err != nil {
			failed = append(failed, edge.Blame{ID: n.ID, Text: err.Error()})
			continue
		}
		n.Address = a.String()
		nodes = append(nodes, n)
	}
	s.Nodes = nodes
	return failed, nil
}

// pathForm is what may be asked of a node: no blank, quote, backslash, hash or
// dollar, which mean something in a configuration.
var pathForm = regexp.MustCompile(`^/[A-Za-z0-9._~/%?=&:@,;+!*-]{0,255}$`)

func monitor(m *edge.Monitor) error {
	switch m.Kind {
	case "tcp":
		m.Path, m.Status = "", 0
		return nil
	case "http":
	default:
		return fmt.Errorf("monitor %q is neither tcp nor http", m.Kind)
	}
	if m.Path == "" {
		m.Path = "/"
	}
	if !pathForm.MatchString(m.Path) {
		return fmt.Errorf("path %q of the health check has characters that it can't have", m.Path)
	}
	if m.Status != 0 && (m.Status < 100 || m.Status > 599) {
		return fmt.Errorf("status %d of the health check is no HTTP status", m.Status)
	}
	return nil
}
