package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"

	"github.com/millwright/millwright/internal/gateway/wg"
	"github.com/millwright/millwright/internal/testkit"
)

// port is one that nobody has on any of this computer's addresses.
func port(t *testing.T) int {
	t.Helper()
	_, text, err := net.SplitHostPort(testkit.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fetch asks once, by a connection of its own.
func fetch(at string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + at + "/")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return strings.TrimSpace(string(text)), err
}

// eventually waits for what no page tells.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// The demo's network is no picture of one: what an admin makes by the wizards
// answers at its public address, as two machines, as one, and not at all.
func TestDemoCarriesWhatTheWizardsMake(t *testing.T) {
	t.Parallel()
	base, _, _ := demo(t, "--seed-machines", "3", "--clone-delay", "200ms", "--guest-boot-delay", "100ms")
	v := testkit.NewVisitor(t, base)
	v.SignIn(t, "admin@acme.example", "millwright")
	n := v.Network(t, "acme")
	n.Outbound()
	order := func(name string) string {
		id, _ := n.OrderMachine(url.Values{"name": {name}, "template": {"debian-13"}, "instance_type": {"small"}})
		return id
	}
	one, two := order("edge-one"), order("edge-two")

	form := testkit.ServiceForm("shop", "tcp", port(t))
	service := n.MakeService(form)
	first := n.AddNode(service, one, 80)
	n.UntilRollout(service, "active")
	n.UntilNode(service, first, "up")
	at := n.Endpoint(service)
	if text, err := fetch(at); err != nil || text != "edge-one" {
		t.Fatalf("%s answers %q, %v", at, text, err)
	}
	second := n.AddNode(service, two, 80)
	n.UntilNode(service, second, "up")
	seen := map[string]int{}
	for range 6 {
		text, err := fetch(at)
		if err != nil {
			t.Fatal(err)
		}
		seen[text]++
	}
	if seen["edge-one"] != 3 || seen["edge-two"] != 3 {
		t.Errorf("round robin gave %v", seen)
	}

	// One machine is powered off while requests come: none fails.
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var pouring sync.WaitGroup
	for range 4 {
		pouring.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				asked.Add(1)
				if _, err := fetch(at); err != nil {
					failed.Add(1)
					t.Errorf("a request failed: %v", err)
				}
			}
		})
	}
	n.Power(one, "stop")
	n.UntilNode(service, first, "down")
	for after := asked.Load() + 100; asked.Load() < after; {
		time.Sleep(5 * time.Millisecond)
	}
	close(stop)
	pouring.Wait()
	t.Logf("%d of %d requests failed while a machine was powered off", failed.Load(), asked.Load())
	n.Until(service, "degraded", func(body string) bool { return strings.Contains(body, `data-health="degraded"`) })

	// With none left the connection is reset, not left to wait.
	n.Power(two, "stop")
	n.UntilNode(service, second, "down")
	eventually(t, "the last node's absence is answered by a reset", func() bool {
		_, err := fetch(at)
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
	})
	n.Power(one, "start")
	n.UntilNode(service, first, "up")
	if text, err := fetch(at); err != nil || text != "edge-one" {
		t.Errorf("started again, %s answers %q, %v", at, text, err)
	}

	// Who may come, and whether at all.
	change := func(field, value string, passes bool) {
		t.Helper()
		now := maps.Clone(form)
		host, _, _ := strings.Cut(at, ":")
		now.Set("public_ip", n.PublicIP(host))
		now.Set(field, value)
		n.ChangeService(service, now)
		n.UntilRollout(service, "active")
		if text, err := fetch(at); (err == nil) != passes {
			t.Errorf("%s %s: %q, %v", field, value, text, err)
		}
	}
	change("sources", "203.0.113.0/24", false)
	change("sources", "203.0.113.0/24 127.0.0.0/8", true)
	change("enabled", "no", false)
	change("enabled", "yes", true)

	// SSH's banner, and datagrams.
	ssh := n.MakeService(testkit.ServiceForm("shell", "tcp", port(t)))
	n.AddNode(ssh, one, 22)
	n.UntilRollout(ssh, "active")
	c, err := net.Dial("tcp", n.Endpoint(ssh))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "SSH-2.0-") || !strings.Contains(line, "edge-one") {
		t.Errorf("the shell says %q, %v", line, err)
	}
	echo := n.MakeService(testkit.ServiceForm("echo", "udp", port(t)))
	n.AddNode(echo, one, 7)
	n.UntilRollout(echo, "active")
	u, err := net.Dial("udp", n.Endpoint(echo))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	eventually(t, "the echo answers with its name", func() bool {
		_ = u.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(u, "hello")
		b := make([]byte, 100)
		k, err := u.Read(b)
		return err == nil && string(b[:k]) == "edge-one: hello"
	})
}

var (
	privateLine  = regexp.MustCompile(`PrivateKey = (\S+)`)
	publicLine   = regexp.MustCompile(`PublicKey = (\S+)`)
	addressLine  = regexp.MustCompile(`Address = ([0-9.]+)/32`)
	endpointLine = regexp.MustCompile(`Endpoint = (\S+)`)
	allowedLine  = regexp.MustCompile(`AllowedIPs = (.+)`)
)

// join is a device with a configuration that the portal gave.
func join(t *testing.T, config string) *netstack.Net {
	t.Helper()
	value := func(form *regexp.Regexp) string {
		m := form.FindStringSubmatch(config)
		if m == nil {
			t.Fatalf("no %s in\n%s", form, config)
		}
		return m[1]
	}
	link, network, err := netstack.CreateNetTUN([]netip.Addr{netip.MustParseAddr(value(addressLine))}, nil, 1420)
	if err != nil {
		t.Fatal(err)
	}
	d := device.NewDevice(link, conn.NewDefaultBind(), &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	t.Cleanup(d.Close)
	var set strings.Builder
	fmt.Fprintf(&set, "private_key=%s\npublic_key=%s\nendpoint=%s\n", wg.Hex(value(privateLine)), wg.Hex(value(publicLine)), value(endpointLine))
	for allowed := range strings.SplitSeq(value(allowedLine), ", ") {
		fmt.Fprintf(&set, "allowed_ip=%s\n", allowed)
	}
	if err := d.IpcSet(set.String()); err != nil {
		t.Fatal(err)
	}
	if err := d.Up(); err != nil {
		t.Fatal(err)
	}
	return network
}

// VPN Connect in the demo, where public addresses are ports of 127.0.0.1: the
// downloaded configuration says where it really is, and leads to the machines
// until the device is shut out.
func TestDemoVPNLeadsToMachinesUntilShutOut(t *testing.T) {
	t.Parallel()
	base, _, _ := demo(t, "--seed-machines", "3", "--clone-delay", "200ms", "--guest-boot-delay", "100ms", "--one-address")
	v := testkit.NewVisitor(t, base)
	v.SignIn(t, "admin@acme.example", "millwright")
	n := v.Network(t, "acme")
	outbound := n.Outbound()
	machine, address := n.OrderMachine(url.Values{"name": {"inside"}, "template": {"debian-13"}, "instance_type": {"small"}})
	n.TurnOnVPN(outbound)
	page := n.Until("/orgs/acme/network/vpn", "where it really listens", func(body string) bool { return strings.Contains(body, "on this host at") })
	config, peer := n.AddDevice("laptop")
	if m := endpointLine.FindStringSubmatch(config); m == nil || !strings.HasPrefix(m[1], "127.0.0.1:") || !strings.Contains(page, m[1]) {
		t.Errorf("the configuration leads to %v", m)
	}
	other, _ := n.AddDevice("phone")
	laptop, phone := join(t, config), join(t, other)
	through := func(network *netstack.Net, patience time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: network.DialContext}}
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			return "", err
		}
		res, err := client.Do(q)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return strings.TrimSpace(string(text)), err
	}
	for name, network := range map[string]*netstack.Net{"laptop": laptop, "phone": phone} {
		if text, err := through(network, 20*time.Second); err != nil || text != "inside" {
			t.Fatalf("through the %s's tunnel: %q, %v", name, text, err)
		}
	}
	n.ShutOut(peer)
	eventually(t, "the laptop is shut out", func() bool { _, err := through(laptop, time.Second); return err != nil })
	if text, err := through(phone, 10*time.Second); err != nil || text != "inside" {
		t.Errorf("the phone, which stays: %q, %v", text, err)
	}
	if _, err := through(laptop, 2*time.Second); err == nil {
		t.Error("the laptop is in again")
	}
	// A service too is found where its page says.
	service := n.MakeService(testkit.ServiceForm("shop", "tcp", port(t)))
	node := n.AddNode(service, machine, 80)
	n.UntilNode(service, node, "up")
	if at := n.Endpoint(service); !strings.HasPrefix(at, "127.0.0.1:") {
		t.Errorf("the service's page leads to %s", at)
	} else if text, err := fetch(at); err != nil || text != "inside" {
		t.Errorf("%s answers %q, %v", at, text, err)
	}
}
