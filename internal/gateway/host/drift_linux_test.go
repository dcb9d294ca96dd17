package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// What other hands change is put right within five seconds, and told.
func TestDriftIsRepairedAndTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	key, _ := wireguardKeys(t)
	r.orgs[0].VPN = &edge.VPN{ID: "vpn", PublicIP: "203.0.113.12", Port: 51820, PrivateKey: key, CIDR: "10.9.0.0/24", Address: "10.9.0.1"}
	r.start()
	r.want()
	ns := namespaceOf(r.orgs[0].Key)
	harm := func(what string, program string, args ...string) {
		t.Helper()
		if _, err := ns.run(t.Context(), "", program, args...); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s := r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Drift) > 0 })
		took := time.Since(began)
		t.Logf("%s: repaired in %s, told as %q", what, took.Round(time.Millisecond), orgOf(s, r.orgs[0].ID).Drift[0].Text)
		if took > 5*time.Second {
			t.Errorf("%s: repaired after %s", what, took)
		}
		// HAProxy may have taken the node for dead meanwhile: its next check
		// says otherwise, within the same five seconds.
		for {
			text, err := get(r.inet, clientOne, "http://203.0.113.11/")
			if err == nil && strings.HasPrefix(text, a.name+" ") {
				break
			}
			if time.Since(began) > 5*time.Second {
				t.Errorf("%s: after five seconds %q answers, %v", what, text, err)
				break
			}
		}
		r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Drift) == 0 }) // told once
	}
	harm("a flushed chain", "nft", "flush", "chain", "ip", "mw", "mw_input")
	harm("a foreign rule", "nft", "insert", "rule", "ip", "mw", "mw_forward", "accept")
	harm("a deleted table", "nft", "delete", "table", "ip", "mw")
	harm("a removed address", "ip", "addr", "del", "203.0.113.11/32", "dev", "up0")
	harm("a deleted interface", "ip", "link", "del", "net1")
	harm("a deleted tunnel", "ip", "link", "del", "wg0")
	harm("a sysctl", "sysctl", "-w", "net.ipv4.ip_nonlocal_bind=0")
	harm("a deleted rule", "ip", "rule", "del", "priority", "100")
	now, is := haproxy{ns: ns, key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}.running(t.Context())
	if !is {
		t.Fatal("HAProxy does not run")
	}
	harm("a killed HAProxy", "kill", "-9", strconv.Itoa(now.pid))
	harm("a lost namespace", "ip", "netns", "del", filepath.Base(ns.path))
}

// One bad object is left out with its reason; all others apply.
func TestBadObjectsAreLeftOutAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	good := service("good", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)
	twice := service("twice", 2, edge.ProtocolHTTP, "203.0.113.11", 80, a)
	path := service("path", 3, edge.ProtocolHTTP, "203.0.113.11", 82, a)
	path.Monitor = &edge.Monitor{Kind: "http", Path: "/\n\tbind :99\n"}
	stranger := service("stranger", 4, edge.ProtocolTCP, "203.0.113.11", 83, a)
	stranger.Nodes = append(stranger.Nodes, edge.Node{ID: "gateway", Address: "10.0.0.1", Port: 80, Enabled: true}, edge.Node{ID: "elsewhere", Address: "192.0.2.1", Port: 80, Enabled: true})
	sound := service("sound", 5, edge.ProtocolTCP, "203.0.113.20", 80, a) // its own outbound address
	r.orgs[0].Services = []edge.Service{good, twice, path, stranger}
	r.orgs[1].Services = []edge.Service{sound}
	r.orgs[1].Networks = append(r.orgs[1].Networks, edge.Network{ID: "no-trunk", Number: 2, Cloud: "west", VLAN: 5, CIDR: "10.1.0.0/24", Gateway: "10.1.0.1"},
		edge.Network{ID: "same-link", Number: 3, Cloud: "cloud0", CIDR: "10.2.0.0/24", Gateway: "10.2.0.1"})
	r.orgs[1].Services[0].Nodes[0].Address = "10.0.0.7"
	r.orgs[1].Services = append(r.orgs[1].Services, service("other", 6, edge.ProtocolTCP, "203.0.113.11", 85))
	r.start()
	r.want()
	s := r.status(func(s edge.Status) bool {
		return len(orgOf(s, r.orgs[0].ID).Failed) > 0 && len(orgOf(s, r.orgs[1].ID).Failed) > 0
	})
	failed := map[string]string{}
	for _, o := range s.Orgs {
		for _, b := range o.Failed {
			failed[b.ID] = b.Text
		}
	}
	for id, word := range map[string]string{"twice": "taken", "path": "path", "gateway": "no machine", "elsewhere": "no machine", "no-trunk": "trunk", "same-link": "taken", "other": "another org"} {
		if !strings.Contains(failed[id], word) {
			t.Errorf("%s failed with %q, want a word of %q", id, failed[id], word)
		}
		delete(failed, id)
	}
	if len(failed) > 0 {
		t.Errorf("failed beyond what is wrong: %v", failed)
	}
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	r.passes(r.inet, clientOne, "http://203.0.113.11:83/", a.name)
}

// HAProxy and the kernel change together or not at all.
func TestBothOrNeither(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	r.orgs[0].Services = []edge.Service{service("old", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	// An nft that says yes to the check and no to the rest, once told so.
	broken := filepath.Join(filepath.Dir(r.state), "broken")
	wrapper := filepath.Join(filepath.Dir(r.state), "nft")
	text := fmt.Sprintf("#!/bin/sh\nif [ -e %s ] && [ \"$1\" = -f ]; then echo refused by test >&2; exit 1; fi\nexec nft \"$@\"\n", broken)
	if err := os.WriteFile(wrapper, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	r.start("--nft", wrapper)
	r.want()
	p := haproxy{ns: namespaceOf(r.orgs[0].Key), key: r.orgs[0].Key, socket: filepath.Join(r.sockets, r.orgs[0].Key+".sock")}
	before, _ := p.running(t.Context())
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := r.orgs[0].Generation
	r.orgs[0].Generation++
	r.orgs[0].Services = append(r.orgs[0].Services, service("new", 2, edge.ProtocolTCP, "203.0.113.11", 81, a))
	r.portal.set(r.orgs[:]...)
	s := r.status(func(s edge.Status) bool {
		o := orgOf(s, r.orgs[0].ID)
		return o.Observed == r.orgs[0].Generation && o.Error != ""
	})
	if o := orgOf(s, r.orgs[0].ID); o.Applied != good || !strings.Contains(o.Error, "refused by test") {
		t.Errorf("applied %d of %d, error %q", o.Applied, o.Observed, o.Error)
	}
	if after, is := p.running(t.Context()); !is || after.structure != before.structure {
		t.Errorf("HAProxy runs %q, ran %q before the failure", after.structure, before.structure)
	}
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	r.refused(r.inet, clientOne, "tcp", "203.0.113.11:81")
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	r.applied() // tried again by itself
	r.passes(r.inet, clientOne, "http://203.0.113.11:81/", a.name)
}
