package views

import (
	"encoding/json"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views/ui"
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
	return "now " + strings.ToLower(machineLook(state).Label)
}

// changeLine is one fact of an event, before and after.
type changeLine struct{ Name, Before, After string }

// changesOf reads an event's canonical JSON. What can't be read shows as it is.
func changesOf(e models.AuditEvent) []changeLine {
	before, after := factsOf(e.Before), factsOf(e.After)
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	lines := make([]changeLine, 0, len(names))
	for name := range names {
		lines = append(lines, changeLine{Name: factName(name), Before: factWords(name, before[name]), After: factWords(name, after[name])})
	}
	sort.Slice(lines, func(i, j int) bool { return lines[i].Name < lines[j].Name })
	return lines
}

func factsOf(text string) map[string]string {
	if text == "" {
		return nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return map[string]string{"record": text}
	}
	facts := make(map[string]string, len(raw))
	for name, value := range raw {
		var parts map[string]json.RawMessage
		if json.Unmarshal(value, &parts) != nil || len(parts) == 0 {
			facts[name] = factText(value)
		}
		for part, value := range parts { // such as each of an org's limits
			facts[name+" "+part] = factText(value)
		}
	}
	return facts
}

// factText is a value without the marks of JSON.
func factText(value json.RawMessage) string {
	var word string
	if json.Unmarshal(value, &word) == nil {
		return word
	}
	var words []string
	if json.Unmarshal(value, &words) == nil {
		return strings.Join(words, ", ")
	}
	return string(value)
}

// factName names a fact as the pages do.
func factName(key string) string {
	switch key {
	case "op":
		return "operation"
	case "instance_type":
		return "size"
	case "price_per_hour_micros":
		return "price per hour"
	case "bytes_in":
		return "received"
	case "bytes_out":
		return "sent"
	case "seconds":
		return "open for"
	default:
		return strings.ReplaceAll(key, "_", " ")
	}
}

// factWords says a fact's value as the pages do; one it doesn't know, as it is.
func factWords(key, value string) string {
	n, err := strconv.ParseInt(value, 10, 64)
	number := err == nil
	switch {
	case value == "":
		return ""
	case key == "op" && powerPast[models.PowerOp(value)] != "":
		return powerName(models.PowerOp(value))
	case key == "state":
		return strings.ReplaceAll(value, "_", " ")
	case key == "price_per_hour_micros" && number:
		return hourlyPrice(n)
	case key == "bytes_in" && number, key == "bytes_out" && number:
		return strconv.FormatInt((n+1023)/1024, 10) + " KiB"
	case key == "seconds" && number:
		return ui.Elapsed(time.Duration(n) * time.Second)
	default:
		return value
	}
}
