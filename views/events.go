package views

import (
	"strings"

	"github.com/millwright/millwright/models"
)

// powerPast says a power operation in the past tense.
var powerPast = map[models.PowerOp]string{
	models.PowerStart: "started", models.PowerStop: "powered off", models.PowerShutdown: "shut down",
	models.PowerReset: "reset", models.PowerSuspend: "suspended", models.PowerResume: "resumed",
}

// eventOp is the operation of a power event, or "".
func eventOp(e models.AuditEvent) models.PowerOp {
	if e.Action != models.ActionMachinePower {
		return ""
	}
	return models.PowerOp(factsOf(e.After)["op"])
}

// eventName names what was done, in a table.
func eventName(e models.AuditEvent) string {
	if op := eventOp(e); powerPast[op] != "" {
		return powerName(op) + " machine"
	}
	return actionName(e.Action)
}

// eventWords says what was done, after the actor's name. What was only asked
// for is not told as if it were done.
func eventWords(e models.AuditEvent) string {
	done := e.Outcome == models.OutcomeSucceeded
	op := eventOp(e)
	switch {
	case powerPast[op] != "" && done:
		return powerPast[op]
	case powerPast[op] != "":
		return "asked to " + strings.ToLower(powerName(op))
	case e.Action == models.ActionMachineDelete && !done:
		return "asked to delete"
	case actionWords[e.Action] != "":
		return actionWords[e.Action]
	default:
		return string(e.Action)
	}
}

// eventEnding is how it ended, where the words don't tell. An order's two
// events differ in nothing else.
func eventEnding(e models.AuditEvent) string {
	switch {
	case e.Outcome == models.OutcomeFailed:
		return "failed"
	case e.Action == models.ActionMachineState:
		return stateAfter(e)
	case e.Action == models.ActionMachineCreate && e.Outcome == models.OutcomeSucceeded:
		return "done"
	default:
		return ""
	}
}

// stateAfter is what a machine was seen to have become, or "".
func stateAfter(e models.AuditEvent) string {
	state := models.MachineState(factsOf(e.After)["state"])
	if state == "" {
		return ""
	}
	return strings.ToLower(machineLook(state).Label)
}
