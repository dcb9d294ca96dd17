// Package views draws the portal's screens, one file per screen, out of the
// parts of views/ui. A screen is a templ component that takes one props struct
// made of records of models; what is allowed comes in it as CanOrder and the
// like, for a screen decides no permission and asks no database.
//
//	handler ──props──▶ Machine(p) ──▶ Layout, panels …   the whole page
//	        └─props──▶ MachineLive(p)                    only its live part
//
// Every live part is a component of its own with an id. On the page it carries
// the address that gives it alone (the page's own with ?part=…) and the events
// after which it is fetched anew (static/js/live.js names them). A handler
// renders it alone when Part asks for it.
package views

import "net/http"

// The parts that a screen can be asked for alone, by ?part=.
const (
	PartLive  = "live"  // dashboard, machine, task: all that changes by itself
	PartRow   = "row"   // machine: its row in the list
	PartList  = "list"  // machines, tasks, history: the rows and the pager
	PartPlan  = "plan"  // machine order: what it would cost and where it would run
	PartMenu  = "menu"  // virtual CD: the form alone, for the console's bar
	PartCount = "count" // tasks: how many are under way, for the sidebar
)

// Part says which part of a screen the request is for; "" is the whole page. A
// browser that was sent to such an address without htmx gets the page.
func Part(r *http.Request) string {
	if r.Header.Get("HX-Request") != "true" {
		return ""
	}
	return r.URL.Query().Get("part")
}
