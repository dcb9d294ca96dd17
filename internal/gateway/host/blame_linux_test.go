package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
)

// A service that HAProxy or nftables refuses, for a reason that validation did
// not know, fails alone with their words; all others apply.
func TestWhatAProgramRefusesFailsAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.machine(0, "10.0.0.5")
	a.echo(53)
	datagrams := func(id string, mark, port int) edge.Service {
		s := service(id, mark, edge.ProtocolUDP, "203.0.113.11", port, a)
		s.Nodes[0].Port = 53
		return s
	}
	r.orgs[0].Services = []edge.Service{service("one", 1, edge.ProtocolTCP, "203.0.113.11", 80, a), service("two", 2, edge.ProtocolHTTP, "203.0.113.11", 81, a),
		service("three", 3, edge.ProtocolTCP, "203.0.113.11", 82, a), datagrams("four", 4, 5353), datagrams("five", 5, 5354)}
	// Both programs are the real ones; what they are asked about is spoiled on
	// its way.
	dir := filepath.Dir(r.state)
	proxy, rules := filepath.Join(dir, "haproxy"), filepath.Join(dir, "nft")
	for path, text := range map[string]string{
		proxy: `if [ "$1" = -c ]; then sed 's/bind 203.0.113.11:81$/bind 203.0.113.11:81 nonsense/' "$3" > "$3.spoiled"; exec haproxy -c -f "$3.spoiled"; fi; exec haproxy "$@"`,
		rules: `if [ "$1" = -c ]; then sed 's/ct mark 4 dnat/ct mark 4 nonsense/' | nft -c -f -; exit $?; fi; exec nft "$@"`,
	} {
		r.must(os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	}
	r.start("--haproxy", proxy, "--nft", rules)
	r.want()
	s := r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Failed) == 2 })
	failed := map[string]string{}
	for _, b := range orgOf(s, r.orgs[0].ID).Failed {
		failed[b.ID] = b.Text
	}
	if !strings.Contains(failed["two"], "nonsense") || !strings.Contains(failed["four"], "Error") {
		t.Errorf("failed %v", failed)
	}
	r.passes(r.inet, clientOne, "http://203.0.113.11/", a.name)
	r.passes(r.inet, clientOne, "http://203.0.113.11:82/", a.name)
	if text, err := ask(r.inet, clientOne, "203.0.113.11:5354"); err != nil || !strings.HasPrefix(text, a.name) {
		t.Errorf("the other UDP service answers %q, %v", text, err)
	}
	r.refused(r.inet, clientOne, "tcp", fmt.Sprintf("203.0.113.11:%d", 81))
}
