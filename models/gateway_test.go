package models_test

import (
	"testing"
	"time"

	"github.com/millwright/millwright/models"
)

func TestRolloutIsDerivedFromGenerations(t *testing.T) {
	t.Parallel()
	now := models.Now()
	edge, late, old := models.EdgeID("e"), now.Add(-2*models.GatewaySilence), now.Add(-time.Second)
	for want, g := range map[models.Rollout]models.OrgGateway{
		models.RolloutUnknown:  {},
		models.RolloutPending:  {EdgeID: &edge, ReportedAt: &old, Observed: 4, Applied: 4},
		models.RolloutApplying: {EdgeID: &edge, ReportedAt: &old, Observed: 5, Applied: 4},
		models.RolloutActive:   {EdgeID: &edge, ReportedAt: &old, Observed: 6, Applied: 5},
		models.RolloutFailed:   {EdgeID: &edge, ReportedAt: &old, Observed: 5, Applied: 4, Error: "haproxy: no"},
		models.RolloutDrifted:  {EdgeID: &edge, ReportedAt: &old, Observed: 5, Applied: 5, DriftAt: &old},
	} {
		if got := g.Rollout("s", 5, now); got != want {
			t.Errorf("%+v: %s, want %s", g, got, want)
		}
	}
	silent := models.OrgGateway{EdgeID: &edge, ReportedAt: &late, Observed: 5, Applied: 5}
	if got := silent.Rollout("s", 5, now); got != models.RolloutUnknown {
		t.Errorf("silent: %s", got)
	}
	blamed := models.OrgGateway{EdgeID: &edge, ReportedAt: &old, Observed: 5, Applied: 5, Failed: `[{"id":"s","text":"no"}]`}
	if got := blamed.Rollout("s", 5, now); got != models.RolloutFailed {
		t.Errorf("blamed: %s", got)
	}
	if got := blamed.Rollout("other", 5, now); got != models.RolloutActive {
		t.Errorf("beside a blamed one: %s", got)
	}
}
