package forward

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
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
)

func key(t *testing.T) (private, public string) {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(k.Bytes()), base64.StdEncoding.EncodeToString(k.PublicKey().Bytes())
}

func hexOf(t *testing.T, key string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// device connects as a user's computer does.
func connect(t *testing.T, private, server, endpoint, address string) *netstack.Net {
	t.Helper()
	link, net, err := netstack.CreateNetTUN([]netip.Addr{netip.MustParseAddr(address)}, nil, 1420)
	if err != nil {
		t.Fatal(err)
	}
	d := device.NewDevice(link, conn.NewDefaultBind(), &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	t.Cleanup(d.Close)
	if err := d.IpcSet(fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s\nallowed_ip=10.0.0.0/16\n", hexOf(t, private), hexOf(t, server), endpoint)); err != nil {
		t.Fatal(err)
	}
	if err := d.Up(); err != nil {
		t.Fatal(err)
	}
	return net
}

func askThrough(n *netstack.Net, at string, patience time.Duration) (string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: n.DialContext}}
	res, err := client.Get("http://" + at + "/")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

func TestLabVPNReachesMachinesUntilRevoked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.guests.machine("org-0", "10.0.0.5", "a5")
	serverPrivate, serverPublic := key(t)
	onePrivate, onePublic := key(t)
	twoPrivate, twoPublic := key(t)
	r.orgs[0].VPN = &edge.VPN{ID: "vpn", PublicIP: r.public(1), Port: 51820, PrivateKey: serverPrivate, CIDR: "10.9.0.0/24", Address: "10.9.0.1",
		Peers: []edge.Peer{{ID: "one", PublicKey: onePublic, Address: "10.9.0.2"}, {ID: "two", PublicKey: twoPublic, Address: "10.9.0.3"}}}
	r.want()
	one := connect(t, onePrivate, serverPublic, r.public(1)+":51820", "10.9.0.2")
	two := connect(t, twoPrivate, serverPublic, r.public(1)+":51820", "10.9.0.3")
	for _, n := range []*netstack.Net{one, two} {
		if text, err := askThrough(n, "10.0.0.5", 10*time.Second); err != nil || text != "a5" {
			t.Fatalf("through the tunnel: %q %v", text, err)
		}
	}
	s := r.status(func(s edge.Status) bool {
		return len(s.Orgs[0].Peers) == 2 && !s.Orgs[0].Peers[1].LastHandshake.IsZero()
	})
	if s.Orgs[0].Peers[0].BytesIn == 0 {
		t.Error("no bytes were counted")
	}
	r.orgs[0].VPN.Peers = r.orgs[0].VPN.Peers[:1]
	r.want()
	if text, err := askThrough(one, "10.0.0.5", 10*time.Second); err != nil {
		t.Errorf("the device that stays: %q %v", text, err)
	}
	if text, err := askThrough(two, "10.0.0.5", 2*time.Second); err == nil {
		t.Errorf("the revoked device still reaches %q", text)
	}
}
