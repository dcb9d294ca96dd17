package vsphere

import (
	"context"
	"errors"
	"net/netip"
	"testing"
)

func TestGuardRefusesWhatIsNoVCenter(t *testing.T) {
	t.Parallel()
	real, lab := PublicGuard(false), PublicGuard(true)
	for address, allowed := range map[string]bool{
		"10.0.0.5": true, "192.168.7.1": true, "203.0.113.9": true, "2001:db8::5": true, "fd12::1": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "fe80::1": false, "fe80::1%eth0": false,
		"0.0.0.0": false, "::": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
		"100.100.100.200": false, "168.63.129.16": false, "fd00:ec2::254": false,
	} {
		a := netip.MustParseAddr(address)
		if err := real(a); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
		if err := lab(a); allowed && err != nil || !allowed && !a.Unmap().IsLoopback() && address != "64:ff9b::7f00:1" && err == nil {
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
