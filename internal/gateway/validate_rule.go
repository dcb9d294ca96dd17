package gateway

import (
	"errors"
	"fmt"

	"github.com/millwright/millwright/internal/edge"
)

func (c *orgCheck) rule(r *edge.Rule) error {
	if err := c.id(r.ID); err != nil {
		return err
	}
	if r.Direction != "in" && r.Direction != "out" {
		return fmt.Errorf("direction %q is neither in nor out", r.Direction)
	}
	for _, end := range []*string{&r.Source, &r.Destination} {
		if *end == "" {
			continue
		}
		p, err := cidr(*end)
		if err != nil {
			return err
		}
		*end = p.String()
	}
	switch r.Protocol {
	case "":
		r.Protocol = "any"
	case "any", "tcp", "udp", "icmp":
	default:
		return fmt.Errorf("protocol %q is none of any, tcp, udp and icmp", r.Protocol)
	}
	if r.FirstPort == 0 && r.LastPort == 0 {
		return nil
	}
	if r.LastPort == 0 {
		r.LastPort = r.FirstPort
	}
	if r.Protocol == "icmp" {
		return errors.New("icmp has no ports")
	}
	if port(r.FirstPort) != nil || port(r.LastPort) != nil || r.FirstPort > r.LastPort {
		return fmt.Errorf("ports %d to %d are no range", r.FirstPort, r.LastPort)
	}
	return nil
}
