package lab

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"
)

// A running guest answers on loopback with its name; two orgs' guests of one
// address are told apart; power off ends listeners and connections.
func TestGuestsAnswerWhileTheyRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seeds := []SeedMachine{
		{InstanceUUID: uuid.NewString(), Name: "a", HostName: "web-a", Folder: "acme", Template: "debian-12", VCPUs: 1, MemoryMiB: 1024, DiskGiB: 10, IP: "10.9.0.5"},
		{InstanceUUID: uuid.NewString(), Name: "g", HostName: "web-g", Folder: "globex", Template: "debian-12", VCPUs: 1, MemoryMiB: 1024, DiskGiB: 10, IP: "10.9.0.5"},
		{InstanceUUID: uuid.NewString(), Name: "o", HostName: "off", Folder: "acme", Template: "debian-12", VCPUs: 1, MemoryMiB: 1024, DiskGiB: 10, IP: "10.9.0.6", Power: "poweredOff"},
	}
	text, err := json.Marshal(seeds)
	if err != nil {
		t.Fatal(err)
	}
	seed := filepath.Join(dir, "seed.json")
	if err := os.WriteFile(seed, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, VCenterOptions{Dir: filepath.Join(dir, "unused")}) // another vCenter doesn't matter
	v := newTestVCenter(t, VCenterOptions{Dir: filepath.Join(dir, "vc"), Seed: seed, GuestBootDelay: 20 * time.Millisecond})
	i := v.Info()
	guests := NewGuests(func() []Cloud {
		list := make([]Cloud, 0, 2)
		for _, i := range []Info{i, p.info} {
			list = append(list, Cloud{URL: i.URL, Username: i.Username, Password: i.Password, ThumbprintSHA256: i.ThumbprintSHA256})
		}
		return list
	})
	locate := func(folder, address, network string, port uint16) (string, error) {
		return guests.Locate(t.Context(), folder, network, netip.AddrPortFrom(netip.MustParseAddr(address), port))
	}
	for folder, name := range map[string]string{"acme": "web-a", "globex": "web-g"} {
		at, err := locate(folder, "10.9.0.5", "tcp", 80)
		if err != nil {
			t.Fatal(err)
		}
		if ip := netip.MustParseAddrPort(at).Addr(); !ip.IsLoopback() {
			t.Errorf("a guest listens on %s", at)
		}
		res, err := http.Get("http://" + at)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if strings.TrimSpace(string(body)) != name {
			t.Errorf("%s answers %q", name, body)
		}
		ssh, err := locate(folder, "10.9.0.5", "tcp", 22)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", ssh)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "SSH-2.0-") {
			t.Errorf("%s says %q %v", ssh, line, err)
		}
		c.Close()
	}
	if _, err := locate("acme", "10.9.0.6", "tcp", 80); err == nil {
		t.Error("a machine that is off is found")
	}
	if _, err := locate("acme", "10.9.0.5", "tcp", 443); err == nil {
		t.Error("a port that nobody listens on is found")
	}

	at, err := locate("acme", "10.9.0.5", "tcp", 22)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s := login(t, i)
	vm := s.byUUID(seeds[0].InstanceUUID)
	s.must(vm.PowerOff(t.Context()))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := r.ReadByte(); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection outlives its machine: %v", err)
	}
	if late, err := net.Dial("tcp", at); err == nil {
		late.Close()
		t.Error("a machine that is off still listens")
	}
	s.must(vm.PowerOn(t.Context()))
	s.until(vm, "guest.toolsRunningStatus", func(v any) bool {
		return v == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	})
	if again, err := locate("acme", "10.9.0.5", "tcp", 22); err != nil || again != at {
		t.Errorf("the machine that came back is at %s, was at %s: %v", again, at, err)
	}
}

// A guest that came back elsewhere is found there: at once when a connection to
// it failed, and soon without that.
func TestGuestIsFoundWhereItIsNow(t *testing.T) {
	t.Parallel()
	where := "127.0.0.1:1000"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode([]Wire{{Folder: "acme", Addresses: []string{"10.9.0.5"}, TCP: map[int]string{80: where}}})
	}))
	t.Cleanup(server.Close)
	sum := sha256.Sum256(server.Certificate().Raw)
	guests := NewGuests(func() []Cloud { return []Cloud{{URL: server.URL, ThumbprintSHA256: hex.EncodeToString(sum[:])}} })
	a := netip.MustParseAddr("10.9.0.5")
	at := func(want string) {
		t.Helper()
		if got, err := guests.Locate(t.Context(), "acme", "tcp", netip.AddrPortFrom(a, 80)); err != nil || got != want {
			t.Errorf("found at %q, %v; want %q", got, err, want)
		}
	}
	at("127.0.0.1:1000")
	where = "127.0.0.1:2000"
	at("127.0.0.1:1000")
	guests.Forget("acme", a)
	guests.asked = guests.asked.Add(-2 * askAgain)
	at("127.0.0.1:2000")
	where = "127.0.0.1:3000"
	at("127.0.0.1:2000")
	guests.asked = guests.asked.Add(-2 * trustFor)
	at("127.0.0.1:3000")
}
