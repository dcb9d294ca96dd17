package views

import (
	"net/url"

	"github.com/millwright/millwright/models"
)

// Place makes an org's addresses. Its value is the org's slug.
type Place string

func (p Place) url(rest string) string { return "/orgs/" + url.PathEscape(string(p)) + rest }

func (p Place) Home() string       { return p.url("/") }
func (p Place) Machines() string   { return p.url("/machines") }
func (p Place) NewMachine() string { return p.url("/machines/new") }
func (p Place) BulkPower() string  { return p.url("/machines/power") }
func (p Place) Catalog() string    { return p.url("/catalog") }
func (p Place) Tasks() string      { return p.url("/tasks") }
func (p Place) History() string    { return p.url("/history") }
func (p Place) Consoles() string   { return p.url("/consoles") }
func (p Place) Events() string     { return p.url("/events") }

func (p Place) Machine(id models.MachineID) string       { return p.url("/machines/" + string(id)) }
func (p Place) Power(id models.MachineID) string         { return p.Machine(id) + "/power" }
func (p Place) DeleteMachine(id models.MachineID) string { return p.Machine(id) + "/delete" }
func (p Place) Console(id models.MachineID) string       { return p.Machine(id) + "/console" }
func (p Place) Media(id models.MachineID) string         { return p.Machine(id) + "/media" }
func (p Place) Task(id models.TaskID) string             { return p.url("/tasks/" + string(id)) }
func (p Place) CancelTask(id models.TaskID) string       { return p.Task(id) + "/cancel" }
func (p Place) RetryTask(id models.TaskID) string        { return p.Task(id) + "/retry" }

// OrderOf is the order form with the template chosen.
func (p Place) OrderOf(t models.Template) string {
	return p.NewMachine() + "?" + url.Values{"template": {t.Slug}}.Encode()
}

// HistoryOf is all that happened to one object, gone or not.
func (p Place) HistoryOf(id string) string {
	return p.History() + "?" + url.Values{"object": {id}}.Encode()
}

// withQuery is an address with those of the pairs that have a value, so that
// an address says only what narrows.
func withQuery(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
