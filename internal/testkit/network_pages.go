package testkit

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Network is a visitor at an org's network pages, as an admin uses them.
type Network struct {
	*Visitor
	t    testing.TB
	base string // /orgs/{slug}
}

// Network goes to an org's network pages.
func (v *Visitor) Network(t testing.TB, org string) Network {
	return Network{Visitor: v, t: t, base: "/orgs/" + org}
}

// ServiceForm is a sound service for everybody: what a test doesn't say.
func ServiceForm(name, protocol string, port int) url.Values {
	f := url.Values{"name": {name}, "protocol": {protocol}, "port": {strconv.Itoa(port)}, "balancing": {"round_robin"}, "monitor": {"tcp"},
		"path": {"/"}, "idle": {"60"}, "sources": {"0.0.0.0/0"}, "open_to_all": {"yes"}}
	return f
}

var priceForm = regexp.MustCompile(`name="price" value="(\d+)"`)

// post insists on 303 and returns where it leads.
func (n Network) post(path string, form url.Values) string {
	n.t.Helper()
	a, err := n.Post(path, form)
	if err != nil || a.Status != http.StatusSeeOther {
		n.t.Fatalf("%s: %d %v\n%s", path, a.Status, err, problems(a.Body))
	}
	return strings.TrimPrefix(a.Location, n.URL)
}

var (
	problemForm = regexp.MustCompile(`(?s)class="(?:field-error|notice-title)"[^>]*>(.*?)</p>`)
	tagForm     = regexp.MustCompile(`(?s)<[^>]*>`)
)

// problems is what a page complains of.
func problems(body string) string {
	var list []string
	for _, m := range problemForm.FindAllStringSubmatch(body, -1) {
		list = append(list, strings.TrimSpace(tagForm.ReplaceAllString(m[1], " ")))
	}
	return strings.Join(list, "\n")
}

var outboundForm = regexp.MustCompile(`data-outbound="([0-9.]+)"`)

// Outbound waits for the org's first public address and returns it.
func (n Network) Outbound() string {
	n.t.Helper()
	return outboundForm.FindStringSubmatch(n.Until(n.base+"/network", "a public address", outboundForm.MatchString))[1]
}

// MakeService goes through the wizard, step by step, accepts the price that
// the last one shows, and returns the service's page.
func (n Network) MakeService(form url.Values) string {
	n.t.Helper()
	var review Answer
	for step := 2; step <= 4; step++ {
		form.Set("step", strconv.Itoa(step))
		var err error
		if review, err = n.Get(n.base + "/network/services/new?" + form.Encode()); err != nil || review.Status != http.StatusOK {
			n.t.Fatalf("step %d of the wizard: %d %v\n%s", step, review.Status, err, problems(review.Body))
		}
	}
	price := priceForm.FindStringSubmatch(review.Body)
	if price == nil {
		n.t.Fatal("the wizard shows no price")
	}
	form.Set("price", price[1])
	form.Set("accept", "yes")
	return n.post(n.base+"/network/services", form)
}

// ChangeService stores a service's form anew.
func (n Network) ChangeService(service string, form url.Values) { n.t.Helper(); n.post(service, form) }

// AddNode puts a machine behind a service, and returns the node's id.
func (n Network) AddNode(service, machine string, port int) string {
	n.t.Helper()
	before := n.Nodes(service)
	n.post(service+"/nodes", url.Values{"machine": {machine}, "port": {strconv.Itoa(port)}, "enabled": {"yes"}, "open_to_all": {"yes"}})
	for id := range n.Nodes(service) {
		if _, was := before[id]; !was {
			return id
		}
	}
	n.t.Fatal("no node was added")
	return ""
}

// SwitchNode drains, disables, enables or removes a node.
func (n Network) SwitchNode(node, op string) {
	n.t.Helper()
	n.post(n.base+"/network/nodes/"+node+"/state", url.Values{"op": {op}})
}

var (
	nodeForm    = regexp.MustCompile(`data-node-id="([^"]+)" data-node-state="([^"]*)"`)
	rolloutForm = regexp.MustCompile(`data-rollout="([^"]*)"`)
	mappedForm  = regexp.MustCompile(`on this host at ([0-9.:]+)`)
	reachedForm = regexp.MustCompile(`(?s)Reached at.*?([0-9.]+:\d+)`)
	machineForm = regexp.MustCompile(`data-state="([a-z]+)"`)
	addressForm = regexp.MustCompile(`\b10\.\d+\.\d+\.\d+\b`)
	tokenForm   = regexp.MustCompile(`mwe_[A-Za-z0-9_-]+`)
)

// Nodes are the states of a service's nodes as its page has them, by id.
func (n Network) Nodes(service string) map[string]string {
	n.t.Helper()
	states := map[string]string{}
	for _, m := range nodeForm.FindAllStringSubmatch(n.page(service), -1) {
		states[m[1]] = m[2]
	}
	return states
}

func (n Network) page(path string) string {
	n.t.Helper()
	a, err := n.Get(path)
	if err != nil || a.Status != http.StatusOK {
		n.t.Fatalf("%s: %d %v", path, a.Status, err)
	}
	return html.UnescapeString(a.Body)
}

// pagePatience is for what a gateway or a vCenter does behind a page.
const pagePatience = 40 * time.Second

// Until reads a page until it holds, and returns it.
func (n Network) Until(path, what string, holds func(body string) bool) string {
	n.t.Helper()
	deadline := time.Now().Add(pagePatience)
	for {
		body := n.page(path)
		if holds(body) {
			return body
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s: never %s\n%s", path, what, problems(body))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// UntilRollout waits for a service's page to show a rollout state.
func (n Network) UntilRollout(service, state string) string {
	n.t.Helper()
	return n.Until(service, state, func(body string) bool {
		m := rolloutForm.FindStringSubmatch(body)
		return m != nil && m[1] == state
	})
}

// UntilNode waits for a service's page to show a node's state.
func (n Network) UntilNode(service, node, state string) {
	n.t.Helper()
	n.Until(service, "node "+state, func(string) bool { return n.Nodes(service)[node] == state })
}

// Endpoint is where a service's page says that it is reached.
func (n Network) Endpoint(service string) string {
	n.t.Helper()
	body := n.page(service)
	if m := mappedForm.FindStringSubmatch(body); m != nil {
		return m[1]
	}
	m := reachedForm.FindStringSubmatch(body)
	if m == nil {
		n.t.Fatal("the page says no address")
	}
	return m[1]
}

// PublicIP is the id of one of the org's addresses.
func (n Network) PublicIP(address string) string {
	n.t.Helper()
	m := regexp.MustCompile(`data-ip-id="([^"]+)" data-ip="` + regexp.QuoteMeta(address) + `"`).FindStringSubmatch(n.page(n.base + "/network"))
	if m == nil {
		n.t.Fatalf("the org has no %s", address)
	}
	return m[1]
}

// OrderMachine orders the menu's first machine and waits until it runs; it
// returns its id and its private address.
func (n Network) OrderMachine(form url.Values) (id, address string) {
	n.t.Helper()
	path := n.post(n.base+"/machines", form)
	body := n.Until(path, "running", func(body string) bool {
		m := machineForm.FindStringSubmatch(body)
		return m != nil && m[1] == "running" && addressForm.MatchString(body)
	})
	return path[strings.LastIndex(path, "/")+1:], addressForm.FindString(body)
}

// Power switches a machine.
func (n Network) Power(machine, op string) {
	n.t.Helper()
	n.post(n.base+"/machines/"+machine+"/power", url.Values{"op": {op}})
}

// AddEdge registers a gateway as an operator does; it returns its page and the
// token, which is shown this once.
func (v *Visitor) AddEdge(t testing.TB, name string) (page, token string) {
	t.Helper()
	a, err := v.Post("/provider/edges", url.Values{"name": {name}})
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("add a gateway: %d %v", a.Status, err)
	}
	m := regexp.MustCompile(`/provider/edges/[0-9a-f-]{36}`).FindString(a.Body)
	token = tokenForm.FindString(a.Body)
	if m == "" || token == "" {
		t.Fatal("no gateway, or no token, is shown")
	}
	return m, token
}

// RotateEdge gives a gateway another token; the one before goes on working for
// an hour, unless it is to be refused at once.
func (v *Visitor) RotateEdge(t testing.TB, page string, atOnce bool) string {
	t.Helper()
	form := url.Values{}
	if atOnce {
		form.Set("old", "refuse")
	}
	a, err := v.Post(page+"/rotate", form)
	token := tokenForm.FindString(a.Body)
	if err != nil || a.Status != http.StatusOK || token == "" {
		t.Fatalf("rotate: %d %v", a.Status, err)
	}
	return token
}

// TurnOnVPN makes the org's end of the VPN at one of its addresses.
func (n Network) TurnOnVPN(address string) {
	n.t.Helper()
	n.post(n.base+"/network/vpn", url.Values{"public_ip": {n.PublicIP(address)}})
}

var (
	configForm = regexp.MustCompile(`(?s)<pre class="config"[^>]*>(.*?)</pre>`)
	peerForm   = regexp.MustCompile(`(?s)data-peer-id="([^"]+)">\s*<td class="first primary">([^<]*)<`)
)

// AddDevice lets a device in, with a key of the portal's: what a browser
// without script gets. It returns the configuration and the device's id.
func (n Network) AddDevice(name string) (config, id string) {
	n.t.Helper()
	return n.addDevice(name, "")
}

func (n Network) addDevice(name, public string) (config, id string) {
	n.t.Helper()
	a, err := n.Post(n.base+"/network/vpn/devices", url.Values{"device": {name}, "public_key": {public}})
	m := configForm.FindStringSubmatch(a.Body)
	if err != nil || a.Status != http.StatusOK || m == nil {
		n.t.Fatalf("let a device in: %d %v\n%s", a.Status, err, problems(a.Body))
	}
	for _, peer := range peerForm.FindAllStringSubmatch(n.page(n.base+"/network/vpn"), -1) {
		if strings.TrimSpace(peer[2]) == name {
			id = peer[1]
		}
	}
	return html.UnescapeString(m[1]), id
}

// ShutOut revokes a device.
func (n Network) ShutOut(device string) {
	n.t.Helper()
	n.post(n.base+"/network/vpn/devices/"+device+"/revoke", url.Values{})
}
