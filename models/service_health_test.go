package models_test

import (
	"strings"
	"testing"

	"github.com/millwright/millwright/models"
)

func TestHealthCountsNodesThatWereNotReportedYet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		nodes, monitor string
		want           models.ServiceHealth
	}{
		{"up", "tcp", models.HealthUp},
		{"up up", "http", models.HealthUp},
		{"up - - - - - - - - -", "tcp", models.HealthPartly},
		{"up unmonitored", "tcp", models.HealthPartly}, // the check is newer than the report
		{"off off", "tcp", models.HealthUnknown},       // the service was switched on since
		{"- -", "tcp", models.HealthUnknown},
		{"up down", "tcp", models.HealthDegraded},
		{"up down -", "tcp", models.HealthDegraded},
		{"down -", "tcp", models.HealthDegraded},
		{"down down", "tcp", models.HealthDown},
		{"", "tcp", models.HealthDown},
		{"- -", "", models.HealthUnknown},
		{"unmonitored -", "", models.HealthUnmonitored},
	} {
		s := models.ServiceRow{}
		s.Enabled, s.MonitorKind = true, c.monitor
		for state := range strings.FieldsSeq(c.nodes) {
			n := models.NodeRow{}
			n.Enabled, n.State = true, strings.Trim(state, "-")
			s.Nodes = append(s.Nodes, n)
		}
		if got := s.Health(); got != c.want {
			t.Errorf("nodes %q with monitor %q: %s, want %s", c.nodes, c.monitor, got, c.want)
		}
	}
}
