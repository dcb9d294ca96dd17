package models

import "testing"

func TestNodesOfUDPAreCountedOnlyWhereTheGatewayDoes(t *testing.T) {
	t.Parallel()
	row := func(p ServiceProtocol, service int64, nodes ...int64) *ServiceRow {
		s := &ServiceRow{InternetService: InternetService{Protocol: p}, BytesIn: service}
		for _, n := range nodes {
			s.Nodes = append(s.Nodes, NodeRow{BytesOut: n})
		}
		return s
	}
	for _, c := range []struct {
		row  *ServiceRow
		want bool
	}{
		{row(ServiceTCP, 9, 0, 0), true},
		{row(ServiceUDP, 0, 0, 0), true},
		{row(ServiceUDP, 9, 0, 9), true},
		{row(ServiceUDP, 9, 0, 0), false},
	} {
		if got := c.row.NodesCounted(); got != c.want {
			t.Errorf("%s, %d bytes: %v", c.row.Protocol, c.row.BytesIn, got)
		}
	}
}
