package vsphere

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestGuardRefusesWhatIsNoVCenter(t *testing.T) {
	t.Parallel()
	strict, lab := PublicGuard(false), PublicGuard(true)
	for address, allowed := range map[string]bool{
		"10.0.0.5": true, "192.168.7.1": true, "203.0.113.9": true, "2001:db8::5": true, "fd12::1": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "fe80::1": false, "fe80::1%eth0": false,
		"0.0.0.0": false, "::": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
		"100.100.100.200": false, "168.63.129.16": false, "fd00:ec2::254": false,
		"2002:7f00:1::1": false, "2002:a9fe:a9fe::": false, "::127.0.0.1": false, "::169.254.169.254": false, "64:ff9b:1::a9fe:a9fe": false,
		"0.0.0.1": false, "2002:a00:5::1": true,
	} {
		a := netip.MustParseAddr(address)
		if err := strict(a); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
		if err := lab(a); allowed && err != nil || !allowed && !inner(a).IsLoopback() && err == nil {
			t.Errorf("%s in a lab: %v", address, err)
		}
	}
}

// The guard sees what is dialled, not what the name said: localhost is a name.
func TestNoNameLeadsPastTheGuard(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, url := range []string{"https://localhost:9/sdk", "https://127.0.0.1:9/sdk", "https://[::1]:9/sdk", "https://0x7f000001:9/sdk", "https://2130706433:9/"} {
		if _, err := FetchCertificate(ctx, url, PublicGuard(false)); err == nil {
			t.Errorf("%s was connected to", url)
		} else if url != "https://0x7f000001:9/sdk" && url != "https://2130706433:9/" && !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", url, err) // those two are no host's name to begin with
		}
		client := New(Config{Slug: "x", URL: url, Username: "u", Password: "p", Guard: PublicGuard(false), ThumbprintSHA256: ""})
		if _, err := client.About(ctx); err == nil {
			t.Errorf("%s was signed in to", url)
		}
	}
	for _, url := range []string{"http://10.0.0.1/sdk", "file:///etc/passwd", "gopher://10.0.0.1", "https://", "//10.0.0.1"} {
		if _, err := FetchCertificate(ctx, url, PublicGuard(false)); err == nil || errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// rebinding is a name server whose answers change: each query gets the next
// address, and the last one ever after.
func rebinding(t *testing.T, answers ...string) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	var asked atomic.Int32
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) == 0 {
				continue
			}
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				i := min(int(asked.Add(1)), len(answers)) - 1
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(answers[i]).As4()},
				}}
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = server.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, strings.Replace(network, "tcp", "udp", 1), server.LocalAddr().String())
	}}
}

// A name that led to a good address when it was looked at leads to a bad one
// when it is dialled: every dial is asked about anew, with what it dials.
func TestNameThatChangesItsMindIsRefused(t *testing.T) {
	t.Parallel()
	vcenter, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	_, port, err := net.SplitHostPort(vcenter.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{Resolver: rebinding(t, "127.0.0.1", "169.254.169.254"), Control: PublicGuard(true).Control}
	address := net.JoinHostPort("vcenter.rebind.example.", port)
	first, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatalf("the first dial: %v", err)
	}
	_ = first.Close()
	if second, err := dialer.DialContext(t.Context(), "tcp", address); !errors.Is(err, ErrAddress) {
		t.Errorf("the second dial: %v", err)
		if second != nil {
			_ = second.Close()
		}
	}
}
