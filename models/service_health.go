package models

import "slices"

// ServiceHealth is how a service's nodes do, apart from how far its rollout has come.
type ServiceHealth string

const (
	HealthUp          ServiceHealth = "up"          // every enabled node answers
	HealthPartly      ServiceHealth = "partly"      // none is down, but not of every one has the gateway said so
	HealthDegraded    ServiceHealth = "degraded"    // a node is down, and not every one
	HealthDown        ServiceHealth = "down"        // none does, or there is none
	HealthUnmonitored ServiceHealth = "unmonitored" // nobody asks
	HealthUnknown     ServiceHealth = "unknown"     // the gateway has not said yet
	HealthOff         ServiceHealth = "off"         // the service is switched off
)

// Health is derived from what the gateway last said of the nodes.
func (s *ServiceRow) Health() ServiceHealth {
	if !s.Enabled {
		return HealthOff
	}
	wanted, down, unknown := 0, 0, 0
	for _, n := range s.Nodes {
		if !n.Enabled || n.Draining {
			continue
		}
		wanted++
		switch n.State {
		case "up":
		case "down":
			down++
		default: // not reported yet, or from before the service was switched on or monitored
			unknown++
		}
	}
	switch {
	case wanted == 0 || down == wanted:
		return HealthDown
	case down > 0:
		return HealthDegraded
	case s.MonitorKind == "" && slices.ContainsFunc(s.Nodes, func(n NodeRow) bool { return n.State != "" }):
		return HealthUnmonitored
	case unknown == wanted:
		return HealthUnknown
	case unknown > 0:
		return HealthPartly
	}
	return HealthUp
}

// NodesCounted says whether bytes are known by node: a gateway that is older
// counts those of UDP by service alone.
func (s *ServiceRow) NodesCounted() bool {
	return s.Protocol != ServiceUDP || s.BytesIn+s.BytesOut == 0 ||
		slices.ContainsFunc(s.Nodes, func(n NodeRow) bool { return n.BytesIn+n.BytesOut > 0 })
}

// Taking are the nodes that new connections may go to.
func (s *ServiceRow) Taking() []NodeRow {
	return slices.DeleteFunc(slices.Clone(s.Nodes), func(n NodeRow) bool { return !n.Enabled || n.Draining })
}

// Rollout says how far the last change of the service, or of its nodes, has come.
func (s *ServiceRow) Rollout(g *OrgGateway) Rollout {
	r := g.Rollout(string(s.ID), s.Generation, Now())
	if r == RolloutActive || r == RolloutDrifted {
		for _, n := range s.Nodes {
			if g.BlameOf(string(n.ID)) != "" {
				return RolloutFailed
			}
		}
	}
	return r
}
