package testkit

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// UntilApplied waits until the org's gateway carries all that was asked of it.
func (n Network) UntilApplied() { n.t.Helper(); n.UntilRollout(n.base+"/network", "active") }

// Refused posts what has to be refused with a status, and returns what the
// page complains of.
func (n Network) Refused(status int, path string, form url.Values) string {
	n.t.Helper()
	a, err := n.Post(n.base+path, form)
	if err != nil || a.Status != status {
		n.t.Fatalf("%s: %d %v, not %d", path, a.Status, err, status)
	}
	return html.UnescapeString(problems(a.Body))
}

var ruleIDForm = regexp.MustCompile(`data-rule-id="([^"]+)"`)

// Rules are the firewall's, in their order.
func (n Network) Rules() (ids []string) {
	n.t.Helper()
	for _, m := range ruleIDForm.FindAllStringSubmatch(n.page(n.base+"/network/firewall"), -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// AddRule puts a rule that is on at the firewall's end, and returns its id.
func (n Network) AddRule(form url.Values) string {
	n.t.Helper()
	form.Set("enabled", "yes")
	n.post(n.base+"/network/firewall", form)
	ids := n.Rules()
	return ids[len(ids)-1]
}

// MoveRule moves a rule up or down.
func (n Network) MoveRule(rule, by string) {
	n.t.Helper()
	n.post(n.base+"/network/firewall/"+rule+"/move", url.Values{"by": {by}})
}

// DeleteRule deletes one.
func (n Network) DeleteRule(rule string) {
	n.t.Helper()
	n.post(n.base+"/network/firewall/"+rule+"/delete", url.Values{})
}

var ipRowForm = regexp.MustCompile(`data-ip="([^"]+)" data-ip-state="([^"]+)"`)

// IPs are the states of the org's public addresses, as its page has them.
func (n Network) IPs() map[string]string {
	n.t.Helper()
	states := map[string]string{}
	for _, m := range ipRowForm.FindAllStringSubmatch(n.page(n.base+"/network"), -1) {
		states[m[1]] = m[2]
	}
	return states
}

// TakeIP requests another public address at the price that the page shows.
func (n Network) TakeIP() string {
	n.t.Helper()
	before := n.IPs()
	price := priceForm.FindStringSubmatch(n.page(n.base + "/network"))
	if price == nil {
		n.t.Fatal("the page offers no address")
	}
	n.post(n.base+"/network/ips", url.Values{"price": {price[1]}, "accept": {"yes"}})
	for address := range n.IPs() {
		if _, was := before[address]; !was {
			return address
		}
	}
	n.t.Fatal("no address was added")
	return ""
}

// SendBy makes one of the org's addresses that by which its machines are seen.
func (n Network) SendBy(address string) {
	n.t.Helper()
	n.post(n.base+"/network/ips/"+n.PublicIP(address)+"/outbound", url.Values{})
}

// Release gives one back.
func (n Network) Release(address string) {
	n.t.Helper()
	n.post(n.base+"/network/ips/"+n.PublicIP(address)+"/release", url.Values{})
}

// DeleteService deletes a service.
func (n Network) DeleteService(service, name string) {
	n.t.Helper()
	n.post(service+"/delete", url.Values{"confirm": {name}})
}

// AddDeviceWithKey lets a device in whose key was made elsewhere: what a
// browser with script does. The configuration has no private key.
func (n Network) AddDeviceWithKey(name, public string) (config, id string) {
	n.t.Helper()
	return n.addDevice(name, public)
}

// SetPolicy has dead nodes of a service replaced, at the price that the form
// shows for it.
func (n Network) SetPolicy(service string, form url.Values) {
	n.t.Helper()
	page := n.page(service + "/policy")
	for _, field := range []string{"template", "instance_type", "network"} {
		m := regexp.MustCompile(`(?s)<select[^>]*name="` + field + `".*?<option[^>]*value="([^"]+)"`).FindStringSubmatch(page)
		if form.Get(field) == "" && m != nil {
			form.Set(field, m[1])
		}
	}
	asked, err := n.Get(service + "/policy?typed=yes&" + form.Encode())
	price := priceForm.FindStringSubmatch(asked.Body)
	if err != nil || asked.Status != http.StatusOK || price == nil {
		n.t.Fatalf("the policy's price: %d %v", asked.Status, err)
	}
	form.Set("price", price[1])
	form.Set("accept", "yes")
	n.post(service+"/policy", form)
}

// Machine is a row of the picker in which a node's machine is chosen.
type Machine struct{ ID, Name, Address string }

var (
	pickForm    = regexp.MustCompile(`(?s)<tr data-machine-id="([^"]+)">(.*?)</tr>`)
	pickName    = regexp.MustCompile(`<td class="first primary">([^<]*)<`)
	pickAddress = regexp.MustCompile(`data-label="Address"[^>]*>(10\.[0-9.]+)<`)
)

// Machines are those on the first page of a service's picker.
func (n Network) Machines(service string) (list []Machine) {
	n.t.Helper()
	for _, row := range pickForm.FindAllStringSubmatch(n.page(service+"/nodes/new"), -1) {
		m := Machine{ID: row[1]}
		if name := pickName.FindStringSubmatch(row[2]); name != nil {
			m.Name = strings.TrimSpace(name[1])
		}
		if address := pickAddress.FindStringSubmatch(row[2]); address != nil {
			m.Address = address[1]
		}
		list = append(list, m)
	}
	return list
}
