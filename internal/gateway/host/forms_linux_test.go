package host

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// What an admin decides by the portal's forms, the kernel does: rules in their
// order, datagrams, sources, a drain, the outbound address, the release of an
// address; and none of it costs anybody else a request.
func TestFormsDecideWhatPasses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.site()
	r.start("--ca", s.CAFile())
	mine := s.acme.Outbound()
	one, a := s.order(s.acme, 0, "web-1", "10.0.0.5")
	two, b := s.order(s.acme, 0, "web-2", "10.0.0.6")
	form := testkit.ServiceForm("shop", "tcp", 80)
	service := s.acme.MakeService(form)
	form.Set("public_ip", s.acme.PublicIP(mine))
	first, second := s.acme.AddNode(service, one, 80), s.acme.AddNode(service, two, 80)
	s.acme.UntilNode(service, first, "up")
	s.acme.UntilNode(service, second, "up")
	at := mine + ":80"
	others := r.pour(at, 40)

	t.Log("the firewall")
	r.passes(r.inet, clientTwo, "http://"+at+"/", "")
	deny := s.acme.AddRule(url.Values{"direction": {"in"}, "outside": {clientTwo}, "protocol": {"tcp"}, "ports": {"80"}, "allow": {"no"}})
	s.acme.UntilApplied()
	r.refused(r.inet, clientTwo, "tcp", at)
	allow := s.acme.AddRule(url.Values{"direction": {"in"}, "outside": {clientTwo}, "protocol": {"any"}, "allow": {"yes"}})
	s.acme.UntilApplied()
	r.refused(r.inet, clientTwo, "tcp", at)
	s.acme.MoveRule(allow, "up")
	s.acme.UntilApplied()
	r.passes(r.inet, clientTwo, "http://"+at+"/", "")
	s.acme.DeleteRule(allow)
	s.acme.UntilApplied()
	r.refused(r.inet, clientTwo, "tcp", at)
	s.acme.DeleteRule(deny)
	s.acme.UntilApplied()
	r.passes(r.inet, clientTwo, "http://"+at+"/", "")

	t.Log("datagrams")
	stop := a.echo(53)
	dns := s.acme.MakeService(testkit.ServiceForm("dns", "udp", 53))
	node := s.acme.AddNode(dns, one, 53)
	s.acme.UntilNode(dns, node, "up")
	if text, err := ask(r.inet, clientOne, mine+":53"); err != nil || !strings.HasPrefix(text, a.name+" "+clientOne+":") {
		t.Errorf("the machine answers %q, %v", text, err)
	}
	stop()
	s.acme.UntilNode(dns, node, "down")
	a.echo(53)
	s.acme.UntilNode(dns, node, "up")

	t.Log("sources, edited")
	kept, err := dial(r.inet, clientOne, "tcp", at)
	r.must(err)
	defer kept.Close()
	name := askOn(t, kept)
	sources := func(list string) {
		t.Helper()
		form.Set("sources", list)
		s.acme.ChangeService(service, form)
		s.acme.UntilRollout(service, "active")
	}
	sources(clientOne + "/32")
	r.refused(r.inet, clientTwo, "tcp", at)
	if again := askOn(t, kept); again != name {
		t.Errorf("what was open to %s answers %q", name, again)
	}
	sources(clientOne + "/32 " + clientTwo)
	r.passes(r.inet, clientTwo, "http://"+at+"/", "")

	t.Log("drained, disabled, removed")
	held := s.holdOn(at, b.name)
	defer held.Close()
	if why := s.acme.Refused(http.StatusConflict, "/network/nodes/"+second+"/state", url.Values{"op": {"remove"}}); !strings.Contains(why, "Drain it") {
		t.Errorf("a node that takes connections is not removed: %q", why)
	}
	s.acme.SwitchNode(second, "drain")
	s.acme.UntilNode(service, second, "draining")
	for range 4 {
		r.passes(r.inet, clientTwo, "http://"+at+"/", a.name)
	}
	if again := askOn(t, held); again != b.name {
		t.Errorf("what was open on the draining node answers %q", again)
	}
	s.acme.SwitchNode(second, "disable")
	_ = held.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := held.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection to a disabled node lives on: %v", err)
	}
	s.acme.SwitchNode(second, "remove")
	s.acme.UntilApplied()
	if _, there := s.acme.Nodes(service)[second]; there {
		t.Error("the removed node is still shown")
	}
	r.passes(r.inet, clientTwo, "http://"+at+"/", a.name)
	others.end(t, "rules, a UDP service, sources and a drain")

	t.Log("the outbound address")
	seen := s.seenFrom(a)
	if from := seen(); from != mine {
		t.Errorf("the machine is seen to come from %s; the page says %s", from, mine)
	}
	next := s.acme.TakeIP()
	s.acme.SendBy(next)
	s.acme.UntilApplied()
	if from := seen(); from != next || s.acme.Outbound() != next {
		t.Errorf("the machine is seen to come from %s; the page says %s", from, s.acme.Outbound())
	}

	t.Log("a release")
	if why := s.acme.Refused(http.StatusConflict, "/network/ips/"+s.acme.PublicIP(mine)+"/release", url.Values{}); !strings.Contains(why, "shop") || !strings.Contains(why, "dns") {
		t.Errorf("an address in use is not released: %q", why)
	}
	third := s.acme.TakeIP()
	more := testkit.ServiceForm("extra", "tcp", 80)
	more.Set("public_ip", s.acme.PublicIP(third))
	extra := s.acme.MakeService(more)
	s.acme.UntilNode(extra, s.acme.AddNode(extra, one, 80), "up")
	r.passes(r.inet, clientOne, "http://"+third+"/", a.name)
	r.kill() // and so nobody can confirm
	s.acme.DeleteService(extra, "extra")
	s.acme.Release(third)
	r.passes(r.inet, clientOne, "http://"+third+"/", a.name) // which is why it can't be another's yet
	if state := s.acme.IPs()[third]; state != "releasing" {
		t.Errorf("unconfirmed it is %q", state)
	}
	if got := s.globex.TakeIP(); got == third {
		t.Errorf("unconfirmed, %s is given to another org", got)
	}
	r.start("--ca", s.CAFile())
	r.until("the gateway confirms", func() bool { _, is := s.acme.IPs()[third]; return !is })
	r.refused(r.inet, clientOne, "tcp", third+":80")
	if got := s.globex.TakeIP(); got == third || s.resting() != "1" {
		t.Errorf("confirmed, %s are at rest, and another org is given %s", s.resting(), got)
	}
	r.passes(r.inet, clientOne, "http://"+at+"/", a.name)
}

// holdOn opens a connection that is with the named machine.
func (s *site) holdOn(at, name string) net.Conn {
	s.rig.t.Helper()
	for range 20 {
		c, err := dial(s.rig.inet, clientOne, "tcp", at)
		s.rig.must(err)
		if askOn(s.rig.t, c) == name {
			return c
		}
		c.Close()
	}
	s.rig.t.Fatalf("no connection with %s", name)
	return nil
}

// seenFrom tells, each time it is asked, by which address the Internet sees a
// machine.
func (s *site) seenFrom(m *machine) func() string {
	outside := s.rig.listen(s.rig.inet, "tcp", clientOne+":9000")
	s.rig.t.Cleanup(func() { _ = outside.Close() })
	return func() string {
		s.rig.t.Helper()
		c, err := dial(m.ns, "", "tcp", clientOne+":9000")
		s.rig.must(err)
		defer c.Close()
		seen, err := outside.Accept()
		s.rig.must(err)
		defer seen.Close()
		host, _, _ := net.SplitHostPort(seen.RemoteAddr().String())
		return host
	}
}

var restingForm = regexp.MustCompile(`data-label="Resting">(\d+)<`)

// resting is how many addresses the operator's page shows as given back and
// not given out yet.
func (s *site) resting() string {
	s.rig.t.Helper()
	page, err := s.operator.Get("/provider/networks")
	m := restingForm.FindStringSubmatch(page.Body)
	if err != nil || m == nil {
		s.rig.t.Fatalf("the ranges: %d %v", page.Status, err)
	}
	return m[1]
}

// The VPN by the portal's forms, with a key that the portal never sees, as in a
// browser with script: an org's device reaches that org's machines, by an
// address that the other org has too, until it is shut out.
func TestDeviceReachesMachinesUntilTheFormShutsItOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.site()
	r.start("--ca", s.CAFile())
	_, a := s.order(s.acme, 0, "web-1", "10.0.0.5")
	_, c := s.order(s.globex, 1, "web-1", "10.0.0.5")
	join := func(n testkit.Network, name string) (reach func(time.Duration) (string, error), id string) {
		private, public := wireguardKeys(t)
		config, id := n.AddDeviceWithKey(name, public)
		if strings.Contains(config, private) || !strings.Contains(config, "PRIVATE_KEY") {
			t.Fatalf("the portal gives\n%s", config)
		}
		value := func(name string) string {
			m := regexp.MustCompile(name + ` = (\S+)`).FindStringSubmatch(config)
			if m == nil {
				t.Fatalf("no %s in\n%s", name, config)
			}
			return m[1]
		}
		device := r.device(private, value("PublicKey"), value("Endpoint"), strings.TrimSuffix(value("Address"), "/32"))
		n.UntilApplied()
		return func(patience time.Duration) (string, error) { return through(device, "http://10.0.0.5/", patience) }, id
	}
	for n, at := range map[testkit.Network]string{s.acme: s.acme.Outbound(), s.globex: s.globex.Outbound()} {
		n.TurnOnVPN(at)
	}
	laptop, id := join(s.acme, "laptop")
	phone, _ := join(s.acme, "phone")
	theirs, _ := join(s.globex, "laptop")
	for what, want := range map[string]struct {
		reach func(time.Duration) (string, error)
		name  string
	}{"acme's laptop": {laptop, a.name}, "acme's phone": {phone, a.name}, "globex's laptop": {theirs, c.name}} {
		if text, err := want.reach(15 * time.Second); err != nil || !strings.HasPrefix(text, want.name+" ") {
			t.Errorf("%s reaches %q, %v; want %s", what, text, err, want.name)
		}
	}
	s.acme.Until("/orgs/acme/network/vpn", "a handshake", func(body string) bool { return handshakeForm.MatchString(body) })
	s.acme.ShutOut(id)
	s.acme.UntilApplied()
	if text, err := laptop(2 * time.Second); err == nil {
		t.Errorf("shut out, the laptop reaches %q", text)
	}
	for what, want := range map[string]struct {
		reach func(time.Duration) (string, error)
		name  string
	}{"acme's phone": {phone, a.name}, "globex's laptop": {theirs, c.name}} {
		if text, err := want.reach(5 * time.Second); err != nil || !strings.HasPrefix(text, want.name+" ") {
			t.Errorf("%s, which stays, reaches %q, %v", what, text, err)
		}
	}
}

var handshakeForm = regexp.MustCompile(`(?s)data-label="Last handshake">\s*<time`)
