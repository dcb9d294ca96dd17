package host

import (
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// plugged gives every machine that the portal has ordered a place in the rig,
// at the address that the portal gave it, as soon as that is known: what a
// guest's system does when it boots.
type plugged struct {
	site     *site
	org      int
	network  testkit.Network
	machines map[string]*machine // by the portal's name
}

func (p *plugged) follow(service string) {
	p.site.rig.t.Helper()
	for _, m := range p.network.Machines(service) {
		if p.machines[m.Name] == nil && m.Address != "" {
			p.machines[m.Name] = p.site.rig.machine(p.org, m.Address)
		}
	}
}

// until reads the service's page until it holds, plugging what comes.
func (p *plugged) until(service, what string, holds func(page string) bool) string {
	p.site.rig.t.Helper()
	return p.network.Until(service, what, func(page string) bool {
		p.follow(service)
		return holds(page)
	})
}

var (
	policyForm = regexp.MustCompile(`data-policy-state="([a-z]+)"`)
	memberForm = regexp.MustCompile(`(?s)data-node-state="([a-z]*)"[^>]*>.*?<a href="[^"]*/machines/[^"]*">([^<]+)</a>`)
	actForm    = regexp.MustCompile(`(?s)<li data-act="([^"]+)">(.*?)</li>`)
)

// up are the machines behind a service whose nodes answer, and whether the
// policy has nothing left to do.
func up(page string) (names []string, rests bool) {
	for _, m := range memberForm.FindAllStringSubmatch(page, -1) {
		if m[1] == "up" {
			names = append(names, m[2])
		}
	}
	state := policyForm.FindStringSubmatch(page)
	return names, state != nil && state[1] == "watching"
}

// A service's policy and a real gateway: it fills the service up to its least,
// replaces a machine whose listener died by what HAProxy's checks tell, takes
// one more when connections are many and gives it back when they are few; and
// of those who come all the while nobody is turned away.
func TestPolicyKeepsAServiceServed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.site()
	r.start("--ca", s.CAFile())
	at := s.acme.Outbound() + ":80"
	service := s.acme.MakeService(testkit.ServiceForm("shop", "tcp", 80))
	s.acme.SetPolicy(service, url.Values{"min": {"2"}, "max": {"3"}, "port": {"80"}, "dead_after": {"5"}, "cooldown": {"5"}, "per_hour": {"20"},
		"enabled": {"yes"}, "scale": {"yes"}, "scale_out": {"4"}, "scale_in": {"1"}})
	p := &plugged{site: s, network: s.acme, machines: map[string]*machine{}}
	var names []string
	settles := func(what string, count int, without string) string {
		t.Helper()
		return p.until(service, what, func(page string) bool {
			var rests bool
			names, rests = up(page)
			return rests && len(names) == count && !strings.Contains(strings.Join(names, " "), without)
		})
	}
	settles("two nodes of the policy's own", 2, "nobody")
	l := r.pour(at, 20)

	// The listener dies. The gateway leaves the node out at once, the policy
	// has another machine made, and takes the dead one away.
	victim, other := names[0], p.machines[names[1]]
	p.machines[victim].cut()
	p.until(service, "the dead node", func(page string) bool { return strings.Contains(page, `data-node-state="down"`) })
	for range 4 {
		r.passes(r.inet, clientTwo, "http://"+at+"/", other.name)
	}
	page := settles("a successor of "+victim, 2, victim)
	seen := map[string]bool{}
	for range 4 {
		text := r.passes(r.inet, clientTwo, "http://"+at+"/", "a-")
		seen[strings.Fields(text)[0]] = true
	}
	for _, name := range names {
		if m := p.machines[name]; m == nil || !seen[m.name] {
			t.Errorf("%s is up and carries nothing: %v answer", name, seen)
		}
	}
	acted := map[string]string{}
	for _, m := range actForm.FindAllStringSubmatch(page, -1) {
		acted[m[1]] += m[2]
	}
	if !strings.Contains(acted["service.replace"], victim+" is dead since") || !strings.Contains(acted["service.replace"], "/tasks/") {
		t.Errorf("the page tells of no replacement with a Task: %v", acted)
	}

	// Many connections that last, then none.
	var held []net.Conn
	for range 12 {
		c, err := dial(r.inet, clientTwo, "tcp", at)
		r.must(err)
		defer c.Close()
		askOn(t, c)
		held = append(held, c)
	}
	settles("a third node", 3, victim)
	third := p.machines[names[2]]
	r.until("the third carries traffic", func() bool {
		text, err := get(r.inet, clientTwo, "http://"+at+"/")
		return err == nil && strings.HasPrefix(text, third.name+" ")
	})
	for _, c := range held {
		c.Close()
	}
	settles("two nodes again", 2, victim)
	for _, m := range s.acme.Machines(service) {
		if m.Name == victim {
			t.Errorf("%s, which is dead, is still kept", victim)
		}
	}
	l.end(t, "two nodes made, one replaced, one more and one less")

	// The history has each act, by the policy.
	s.acme.Until("/orgs/acme/history?object="+service[strings.LastIndex(service, "/")+1:], "the policy's acts", func(body string) bool {
		for _, act := range []string{"Fill up service", "Replace dead node", "Scale out", "Scale in"} {
			if !strings.Contains(body, `<td class="primary">`+act+"</td>") {
				return false
			}
		}
		return true
	})
}
