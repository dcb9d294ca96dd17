package host

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway/wg"
)

func wireguardKeys(t *testing.T) (private, public string) {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(k.Bytes()), base64.StdEncoding.EncodeToString(k.PublicKey().Bytes())
}

// bindIn opens WireGuard's socket inside a namespace, whichever goroutine asks.
type bindIn struct {
	conn.Bind
	ns namespace
}

func (b bindIn) Open(port uint16) (fns []conn.ReceiveFunc, actual uint16, err error) {
	err = b.ns.do(func() error {
		fns, actual, err = b.Bind.Open(port)
		return err
	})
	return fns, actual, err
}

// device is a user's computer in the internet.
func (r *rig) device(private, server, endpoint, address string) *netstack.Net {
	r.t.Helper()
	link, n, err := netstack.CreateNetTUN([]netip.Addr{netip.MustParseAddr(address)}, nil, 1420)
	r.must(err)
	d := device.NewDevice(link, bindIn{conn.NewDefaultBind(), r.inet}, &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	r.t.Cleanup(d.Close)
	r.must(d.IpcSet(fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s\nallowed_ip=0.0.0.0/0\n", wg.Hex(private), wg.Hex(server), endpoint)))
	r.must(d.Up())
	return n
}

func through(n *netstack.Net, url string, patience time.Duration) (string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: n.DialContext}}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// A device reaches its org's machines and nothing else; the tunnel outlives the
// agent; another device's revocation doesn't disturb it, its own ends it.
func TestVPNReachesMachinesUntilRevoked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.machine(0, "10.0.0.5"), r.machine(1, "10.0.0.6")
	serverPrivate, serverPublic := wireguardKeys(t)
	onePrivate, onePublic := wireguardKeys(t)
	twoPrivate, twoPublic := wireguardKeys(t)
	r.orgs[0].VPN = &edge.VPN{ID: "vpn", PublicIP: "203.0.113.12", Port: 51820, PrivateKey: serverPrivate, CIDR: "10.9.0.0/24", Address: "10.9.0.1",
		Peers: []edge.Peer{{ID: "one", PublicKey: onePublic, Address: "10.9.0.2"}, {ID: "two", PublicKey: twoPublic, Address: "10.9.0.3"}}}
	r.orgs[0].Services = []edge.Service{service("web", 1, edge.ProtocolTCP, "203.0.113.11", 80, a)}
	r.orgs[1].Services = []edge.Service{service("web-b", 1, edge.ProtocolTCP, "203.0.113.21", 80, b)}
	r.start()
	r.want()
	one := r.device(onePrivate, serverPublic, "203.0.113.12:51820", "10.9.0.2")
	two := r.device(twoPrivate, serverPublic, "203.0.113.12:51820", "10.9.0.3")
	for _, n := range []*netstack.Net{one, two} {
		if text, err := through(n, "http://10.0.0.5/", 10*time.Second); err != nil || text[:3] != a.name {
			t.Fatalf("through the tunnel: %q %v", text, err)
		}
	}
	if text, err := through(one, "http://203.0.113.11/", 5*time.Second); err != nil || text[:3] != a.name {
		t.Errorf("the org's own service through the tunnel: %q %v", text, err)
	}
	for what, url := range map[string]string{"another org's machine": "http://10.0.0.6/", "the internet": "http://" + routerAddress + "/",
		"the gateway itself": "http://10.0.0.1:2200/", "the other device": "http://10.9.0.3/"} {
		if text, err := through(one, url, time.Second); err == nil {
			t.Errorf("a device reaches %s: %q", what, text)
		}
	}
	s := r.status(func(s edge.Status) bool {
		p := orgOf(s, r.orgs[0].ID).Peers
		return len(p) == 2 && !p[0].LastHandshake.IsZero() && p[0].BytesIn > 0 && p[0].BytesOut > 0
	})
	_ = s
	// The agent is killed and comes back: the tunnel carries on.
	r.kill()
	if text, err := through(one, "http://10.0.0.5/", 3*time.Second); err != nil {
		t.Errorf("without the agent: %q %v", text, err)
	}
	r.start()
	handshake := func(s edge.Status) time.Time {
		p := orgOf(s, r.orgs[0].ID).Peers
		if len(p) == 0 {
			return time.Time{}
		}
		return p[0].LastHandshake
	}
	before := handshake(r.status(func(s edge.Status) bool { return !handshake(s).IsZero() }))
	r.orgs[0].VPN.Peers = r.orgs[0].VPN.Peers[:1]
	r.want()
	if text, err := through(one, "http://10.0.0.5/", 3*time.Second); err != nil {
		t.Errorf("the device that stays: %q %v", text, err)
	}
	if after := handshake(r.status(func(s edge.Status) bool { return len(orgOf(s, r.orgs[0].ID).Peers) == 1 })); !after.Equal(before) {
		t.Errorf("the device that stays had to shake hands again: %s, then %s", before, after)
	}
	if text, err := through(two, "http://10.0.0.5/", 2*time.Second); err == nil {
		t.Errorf("the revoked device still reaches %q", text)
	}
	r.orgs[0].VPN = nil
	r.want()
	if text, err := through(one, "http://10.0.0.5/", 2*time.Second); err == nil {
		t.Errorf("without a VPN a device reaches %q", text)
	}
}
