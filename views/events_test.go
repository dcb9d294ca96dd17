package views

import (
	"testing"

	"github.com/millwright/millwright/models"
)

func TestPowerEventsNameTheirOperation(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		outcome     models.Outcome
		name, words string
	}{
		{models.OutcomeAccepted, "Power off machine", "asked to power off"},
		{models.OutcomeSucceeded, "Power off machine", "powered off"},
		{models.OutcomeFailed, "Power off machine", "asked to power off"},
	} {
		e := models.AuditEvent{Action: models.ActionMachinePower, Outcome: tc.outcome, After: `{"op":"stop"}`}
		if eventName(e) != tc.name || eventWords(e) != tc.words {
			t.Errorf("%s: %q, %q", tc.outcome, eventName(e), eventWords(e))
		}
	}
	old := models.AuditEvent{Action: models.ActionMachinePower, Outcome: models.OutcomeSucceeded}
	if eventName(old) != "Change power" || eventWords(old) != "changed the power of" {
		t.Errorf("without its operation: %q, %q", eventName(old), eventWords(old))
	}
	for _, op := range models.PowerOps {
		if powerPast[op] == "" {
			t.Errorf("%s has no past tense", op)
		}
	}
}

func TestWhatWasAskedForIsNotToldAsDone(t *testing.T) {
	t.Parallel()
	e := models.AuditEvent{Action: models.ActionMachineDelete, Outcome: models.OutcomeAccepted}
	if got := eventWords(e); got != "asked to delete" {
		t.Errorf("accepted: %q", got)
	}
	e.Outcome = models.OutcomeSucceeded
	if got := eventWords(e); got != "deleted" {
		t.Errorf("succeeded: %q", got)
	}
}

func TestDetailsSpeakAsThePagesDo(t *testing.T) {
	t.Parallel()
	e := models.AuditEvent{Before: `{"state":"running"}`, After: `{"op":"stop","price_per_hour_micros":14000,"seconds":75,"state":"stopped","limits":{"vcpus":8},"clouds":["a","b"]}`}
	want := map[string]changeLine{
		"operation":      {Name: "operation", After: "Power off"},
		"price per hour": {Name: "price per hour", After: "€0.0140"},
		"limits vcpus":   {Name: "limits vcpus", After: "8"},
		"clouds":         {Name: "clouds", After: "a, b"},
		"open for":       {Name: "open for", After: "1 min 15 s"},
		"state":          {Name: "state", Before: "running", After: "stopped"},
	}
	lines := changesOf(e)
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d: %v", len(lines), len(want), lines)
	}
	for _, line := range lines {
		if line != want[line.Name] {
			t.Errorf("%+v, want %+v", line, want[line.Name])
		}
	}
	if broken := changesOf(models.AuditEvent{After: "{"}); len(broken) != 1 || broken[0].After != "{" {
		t.Errorf("what can't be read: %v", broken)
	}
}
