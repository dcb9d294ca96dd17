package console

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// TestMain makes the test binary a simulated vCenter when asked to be one: in
// this process it would race with itself under the race detector.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "lab-vcenter" {
		var o lab.VCenterOptions
		parser, err := kong.New(&o)
		if err == nil {
			_, err = parser.Parse(os.Args[2:])
		}
		if err == nil {
			err = lab.RunVCenter(context.Background(), o)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// startVCenter runs one that already has the machine, and connects to it.
func startVCenter(t *testing.T, m models.Machine) *vsphere.Client {
	t.Helper()
	dir := t.TempDir()
	seed := filepath.Join(dir, "seed.json")
	machines, err := json.Marshal([]lab.SeedMachine{{
		InstanceUUID: m.ID.InstanceUUID(), Name: models.VMName(m.Name, m.ID), Folder: "acme",
		Template: "debian-13", VCPUs: 1, MemoryMiB: 1024, DiskGiB: 16, IP: "10.20.0.10",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(seed, machines, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "lab-vcenter", "--dir", filepath.Join(dir, "vcenter"), "--seed", seed, "--end-with-stdin")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	var info lab.Info
	if err := json.NewDecoder(stdout).Decode(&info); err != nil {
		t.Fatalf("vCenter did not start: %v", err)
	}
	client := vsphere.New(vsphere.Config{Slug: "public", URL: info.URL, Username: info.Username, Password: info.Password,
		ThumbprintSHA256: info.ThumbprintSHA256, ExpectInstanceUUID: info.InstanceUUID})
	t.Cleanup(func() { _ = client.Close(context.Background()) })
	return client
}

func TestScreenComesThroughVCenter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	vcenter := startVCenter(t, b.machine)
	b.service.screens = Clients(func(id models.CloudID) *vsphere.Client {
		if id != b.machine.CloudID {
			return nil
		}
		return vcenter
	})
	u := b.user()
	conn := b.connect(u, b.ticket(u, models.ConsoleOperate))
	send := func(p ...byte) {
		if err := conn.WriteMessage(websocket.BinaryMessage, p); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.read(conn, 12); got != greeting {
		t.Fatalf("the screen greets by %q", got)
	}
	send([]byte(greeting)...)
	if got := b.read(conn, 2); got != "\x01\x01" {
		t.Fatalf("security types %q, want none alone", got)
	}
	send(1)
	if got := b.read(conn, 4); got != "\x00\x00\x00\x00" {
		t.Fatalf("security result %q", got)
	}
	send(1)
	hello := b.readMessage(conn) // size, format, name
	if len(hello) < 24 {
		t.Fatalf("ServerInit of %d bytes", len(hello))
	}
	width, height := hello[0:2], hello[2:4]
	send(3, 0, 0, 0, 0, 0, width[0], width[1], height[0], height[1])
	if picture := b.readMessage(conn); picture[0] != 0 {
		t.Fatalf("message %d, want a framebuffer update", picture[0])
	}

	// Powered off by other hands, before the portal has heard of it.
	vm, err := vcenter.FindVM(context.Background(), b.machine.ID.InstanceUUID())
	if err != nil {
		t.Fatal(err)
	}
	task, err := vcenter.StartPower(context.Background(), vm.Ref, vsphere.PowerOff)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vcenter.Await(context.Background(), task, nil); err != nil {
		t.Fatal(err)
	}
	b.wantClose(conn, endUpstream)
	b.wantClose(b.connect(u, b.ticket(u, models.ConsoleOperate)), endNotOn)
}
