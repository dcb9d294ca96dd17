package host

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// What was open on a HAProxy that has been replaced since ends all the same
// when its service or its node is switched off; what is wanted goes on, also
// on a node that two services share.
func TestOldProcessesLoseWhatIsSwitchedOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(0, "10.0.0.6")
	r.orgs[0].Services = []edge.Service{service("first", 1, edge.ProtocolTCP, "203.0.113.11", 80, a), service("second", 2, edge.ProtocolTCP, "203.0.113.11", 81, a),
		service("third", 3, edge.ProtocolTCP, "203.0.113.11", 82, b)}
	r.start()
	r.want()
	hold := func(from, port string) net.Conn {
		t.Helper()
		c, err := dial(r.inet, from, "tcp", "203.0.113.11:"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		askOn(t, c)
		return c
	}
	ended := func(what string, c net.Conn) {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Errorf("%s lives on: %v", what, err)
		}
	}
	first, second, third := hold(clientOne, "80"), hold(clientTwo, "81"), hold(clientOne, "82")
	// Two reloads: what is held is with a process that nobody can ask.
	for i := range 2 {
		r.orgs[0].Services = append(r.orgs[0].Services, service([]string{"x", "y"}[i], 10+i, edge.ProtocolTCP, "203.0.113.11", 90+i, b))
		r.want()
	}
	for what, c := range map[string]net.Conn{a.name: second, b.name: third} {
		if got := askOn(t, c); got != what {
			t.Errorf("over two reloads it answers %q, want %q", got, what)
		}
	}
	r.orgs[0].Services[0].Nodes[0].Enabled = false
	r.want()
	ended("the connection to a node that is off", first)
	if got := askOn(t, second); got != a.name {
		t.Errorf("the other service's connection to the same node answers %q", got)
	}
	r.orgs[0].Services[1].Enabled = false
	r.want()
	ended("the connection to a service that is off", second)
	r.orgs[0].Services[2].Sources = []string{clientTwo + "/32"}
	r.want()
	ended("the connection of a client that may come no more", third)
}
