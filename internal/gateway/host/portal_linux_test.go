package host

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// site is a real portal over TLS, which the rig's gateway asks in place of the
// fake one. Org acme's machines are in cloud0, globex's in cloud1, both on
// 10.0.0.0/22.
type site struct {
	*testkit.Site
	rig          *rig
	operator     *testkit.Visitor
	acme, globex testkit.Network
	edge         string // the gateway's page
}

// sitePublic is the range that orgs take their public addresses from.
var sitePublic = [2]string{"203.0.113.10", "203.0.113.29"}

func (r *rig) site() *site {
	r.t.Helper()
	clouds := map[string]*testkit.LabVCenter{}
	for _, name := range []string{"cloud0", "cloud1"} {
		clouds[name] = testkit.RunLabVCenter(r.t, "--name", name, "--clone-delay", "100ms", "--guest-boot-delay", "100ms")
	}
	s := &site{Site: testkit.NewTLSSite(r.t, "sqlite://"+filepath.Join(r.t.TempDir(), "portal.db"), clouds), rig: r}
	s.operator = s.Start()
	signIn := func(v *testkit.Visitor, email string) *testkit.Visitor {
		s.SetPassword(email)
		v.SignIn(r.t, email, testkit.SitePassword)
		return v
	}
	signIn(s.operator, "operator@provider.example")
	s.acme = signIn(s.Visitor(), "admin@acme.example").Network(r.t, "acme")
	s.globex = signIn(s.Visitor(), "admin@globex.example").Network(r.t, "globex")
	a, err := s.operator.Post("/provider/networks/ranges", url.Values{"name": {"Rig"}, "first_address": {sitePublic[0]}, "last_address": {sitePublic[1]}, "price": {"0.004"}})
	if err != nil || a.Status != http.StatusSeeOther {
		r.t.Fatalf("add a range of public IPs: %d %v", a.Status, err)
	}
	var token string
	s.edge, token = s.operator.AddEdge(r.t, "gw-1")
	r.token(token)
	r.cable(strings.TrimPrefix(s.URL(), "https://"))
	r.portal.address = s.URL()
	r.t.Cleanup(func() {
		keys, _ := os.ReadDir(filepath.Join(r.state, "orgs"))
		for _, key := range keys {
			_ = namespaceOf(key.Name()).remove()
		}
	})
	return s
}

// token puts one into the agent's file.
func (r *rig) token(text string) {
	r.t.Helper()
	r.must(os.WriteFile(filepath.Join(filepath.Dir(r.state), "token"), []byte(text+"\n"), 0o600))
}

// cable leads connections to an address of the gateway's loopback to the same
// of the test's own, where the portal is. What goes through it is TLS.
func (r *rig) cable(at string) {
	l := r.listen(r.gateway, "tcp", at)
	r.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", at)
			if err != nil { // the portal is away: as its own host would say
				_ = near.(*net.TCPConn).SetLinger(0)
				_ = near.Close()
				continue
			}
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
	}()
}

// ask asks the portal's gateway address with a token, as anybody could.
func (s *site) ask(token string) int {
	s.rig.t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	s.rig.must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	q, err := http.NewRequest(http.MethodGet, s.URL()+"/edge/v1/desired", nil)
	s.rig.must(err)
	q.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}).Do(q)
	s.rig.must(err)
	defer res.Body.Close()
	return res.StatusCode
}

// order has the portal make a machine, and plugs one into the rig at the
// address that it was given.
func (s *site) order(n testkit.Network, org int, name, address string) (id string, m *machine) {
	s.rig.t.Helper()
	id, got := n.OrderMachine(url.Values{"name": {name}, "template": {"debian-13"}, "instance_type": {"small"}, "address": {address}})
	if got != address {
		s.rig.t.Fatalf("%s was given %s, not %s", name, got, address)
	}
	return id, s.rig.machine(org, address)
}

// The agent and a real portal, over TLS: what admins click is what the kernel
// carries, and neither a change of the token nor the loss of the portal, of the
// agent or of all that it had made in the kernel takes it away.
func TestAgentCarriesWhatTheRealPortalWants(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.site()
	r.start("--ca", s.CAFile())
	if mine, theirs := s.acme.Outbound(), s.globex.Outbound(); mine == theirs {
		t.Fatalf("both orgs have %s", mine)
	}
	one, a := s.order(s.acme, 0, "web-1", "10.0.0.5")
	two, b := s.order(s.acme, 0, "web-2", "10.0.0.6")
	other, c := s.order(s.globex, 1, "web-1", "10.0.0.5")

	// Traffic, and the states that the service's page shows.
	service := s.acme.MakeService(testkit.ServiceForm("shop", "http", 80))
	first := s.acme.AddNode(service, one, 80)
	second := s.acme.AddNode(service, two, 80)
	theirs := s.globex.MakeService(testkit.ServiceForm("shop", "tcp", 80))
	s.globex.AddNode(theirs, other, 80)
	for _, node := range []string{first, second} {
		s.acme.UntilNode(service, node, "up")
	}
	s.acme.UntilRollout(service, "active")
	s.globex.UntilRollout(theirs, "active")
	at, their := s.acme.Endpoint(service), s.globex.Endpoint(theirs)
	seen := map[string]bool{}
	for range 4 {
		text := r.passes(r.inet, clientOne, "http://"+at+"/", "a-")
		seen[text[:min(3, len(text))]] = true
		if !strings.Contains(text, clientOne) {
			t.Errorf("the machine is told %q", text)
		}
	}
	if !seen[a.name] || !seen[b.name] {
		t.Errorf("round robin reached %v", seen)
	}
	r.passes(r.inet, clientOne, "http://"+their+"/", c.name)
	b.cut()
	s.acme.UntilNode(service, second, "down")
	b.serve()
	s.acme.UntilNode(service, second, "up")

	// follows makes a change by the portal and sees that traffic follows it.
	port := 8000
	follows := func(when string) {
		t.Helper()
		port++
		form := testkit.ServiceForm("shop", "http", port)
		form.Set("public_ip", s.publicIP(at))
		s.acme.ChangeService(service, form)
		s.acme.UntilRollout(service, "active")
		host, _, _ := strings.Cut(at, ":")
		r.refused(r.inet, clientOne, "tcp", at)
		at = fmt.Sprintf("%s:%d", host, port)
		r.passes(r.inet, clientOne, "http://"+at+"/", "a-")
		if t.Failed() {
			t.Fatal("at the step: " + when)
		}
	}
	follows("an edit")

	// Rotation: the old token works beside the new one, until it leaked.
	old := r.readToken()
	next := s.operator.RotateEdge(t, s.edge, false)
	if got := [2]int{s.ask(old), s.ask(next)}; got != [2]int{http.StatusOK, http.StatusOK} {
		t.Errorf("after a rotation the old and the new token are answered %v", got)
	}
	follows("an edit by the old token")
	r.token(next)
	leaked := next
	next = s.operator.RotateEdge(t, s.edge, true)
	if got := [3]int{s.ask(old), s.ask(leaked), s.ask(next)}; got != [3]int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusOK} {
		t.Errorf("after two rotations the three tokens are answered %v", got)
	}
	r.passes(r.inet, clientOne, "http://"+at+"/", "a-") // the gateway is refused; traffic isn't
	r.token(next)
	follows("an edit by the new token, without a restart")

	// The portal dies: nothing changes for traffic.
	l := r.pour(at, 100)
	l.until(50)
	s.Portal.Kill()
	l.until(200)
	r.kill()
	l.until(100)
	l.end(t, "the portal dies, then the agent")
	// The gateway host loses everything that was in its memory, too. The next
	// agent has nobody to ask and makes it all again, from its folder.
	keys, err := os.ReadDir(filepath.Join(r.state, "orgs"))
	if err != nil || len(keys) != 2 {
		t.Fatalf("the agent keeps %v: %v", keys, err)
	}
	for _, key := range keys {
		endWhere("", filepath.Join(r.state, "orgs", key.Name()))
		r.must(namespaceOf(key.Name()).remove())
	}
	r.refused(r.inet, clientOne, "tcp", at)
	r.start("--ca", s.CAFile())
	r.until("the last good state is asserted", func() bool { _, err := get(r.inet, clientOne, "http://"+at+"/"); return err == nil })
	r.passes(r.inet, clientTwo, "http://"+their+"/", c.name)

	// HAProxy is a new one too: it takes a moment to trust both machines.
	r.until("both machines answer again", func() bool {
		seen := map[string]bool{}
		for range 4 {
			text, err := get(r.inet, clientOne, "http://"+at+"/")
			if err != nil {
				return false
			}
			seen[text[:min(3, len(text))]] = true
		}
		return seen[a.name] && seen[b.name]
	})

	// And back: the portal hears of it, and its changes arrive.
	s.Start()
	s.acme.UntilNode(service, first, "up")
	follows("an edit after all that")
}

// publicIP is the id of an address of acme's.
func (s *site) publicIP(at string) string {
	s.rig.t.Helper()
	host, _, _ := strings.Cut(at, ":")
	return s.acme.PublicIP(host)
}

func (r *rig) readToken() string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(r.state), "token"))
	r.must(err)
	return strings.TrimSpace(string(text))
}

// until waits for something that no report tells.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal("never: " + what)
		}
	}
}
