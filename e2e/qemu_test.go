package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// bootSector is the whole guest: 512 bytes that greet, then echo each key on
// the screen and on the debug port, so that a test can tell what really came.
func bootSector() []byte {
	code := []byte{
		0x31, 0xC0, // xor ax, ax
		0x8E, 0xD8, // mov ds, ax
		0x8E, 0xD0, // mov ss, ax
		0xBC, 0x00, 0x7C, // mov sp, 0x7c00
		0xB8, 0x03, 0x00, // mov ax, 3: text, 80 × 25
		0xCD, 0x10, // int 0x10
		0xBE, 0x2E, 0x7C, // mov si, greeting
		0xAC,       // next: lodsb
		0x84, 0xC0, // test al, al
		0x74, 0x09, // jz key
		0xB4, 0x0E, // mov ah, 0x0e: teletype
		0xBB, 0x07, 0x00, // mov bx, 7
		0xCD, 0x10, // int 0x10
		0xEB, 0xF2, // jmp next
		0x31, 0xC0, // key: xor ax, ax
		0xCD, 0x16, // int 0x16: wait for one
		0xE6, 0xE9, // out 0xe9, al
		0xB4, 0x0E, // mov ah, 0x0e
		0xBB, 0x07, 0x00, // mov bx, 7
		0xCD, 0x10, // int 0x10
		0xEB, 0xF1, // jmp key
	}
	sector := make([]byte, 512)
	copy(sector[copy(sector, code):], "Millwright test guest. Type:\r\n\x00")
	sector[510], sector[511] = 0x55, 0xAA
	return sector
}

// guest is a real machine: QEMU without acceleration, its screen as VNC over
// WebSocket with TLS, as ESXi serves it.
type guest struct {
	screen  vsphere.Screen
	typed   string // file with what its keyboard got
	monitor string // socket of QEMU's own control
}

func bootGuest(t *testing.T) guest {
	t.Helper()
	dir := t.TempDir()
	thumbprint := writeCertificate(t, dir)
	disk := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(disk, bootSector(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(testkit.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	g := guest{typed: filepath.Join(dir, "typed"), monitor: filepath.Join(dir, "monitor"), screen: vsphere.Screen{
		URL: "wss://127.0.0.1:" + port + "/", ThumbprintsSHA256: []string{thumbprint}}}
	cmd := exec.Command("qemu-system-x86_64", "-accel", "tcg", "-m", "16", "-nodefaults", "-no-user-config", // #nosec G204 -- fixed program
		"-vga", "std", "-drive", "file="+disk+",format=raw,if=ide",
		"-object", "tls-creds-x509,id=tls,endpoint=server,verify-peer=off,dir="+dir,
		"-vnc", "127.0.0.1:0,to=99,websocket="+port+",tls-creds=tls,power-control=on",
		"-debugcon", "file:"+g.typed, "-qmp", "unix:"+g.monitor+",server=on,wait=off")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("QEMU (task deps installs it): %v", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("QEMU said: %s", said.String())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		select {
		case <-ended:
			t.Fatalf("QEMU ended: %s", said.String())
		case <-time.After(20 * time.Millisecond):
		}
		if conn, err := net.Dial("unix", g.monitor); err == nil {
			_ = conn.Close()
			return g
		}
		if time.Now().After(deadline) {
			t.Fatalf("QEMU did not start: %s", said.String())
		}
	}
}

// writeCertificate makes what QEMU looks for in dir, and returns its SHA-256
// thumbprint: the one that a simulated vCenter ticket names.
func writeCertificate(t *testing.T, dir string) string {
	t.Helper()
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	sign := func(of, by *x509.Certificate, key, with *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, of, by, &key.PublicKey, with)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	authorityKey, key := newKey(), newKey()
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	server := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test host"}, NotBefore: from, NotAfter: to,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der := sign(server, authority, key, authorityKey)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca-cert.pem":     {Type: "CERTIFICATE", Bytes: sign(authority, authority, authorityKey, authorityKey)},
		"server-cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"server-key.pem":  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// AcquireScreen is the simulated ticket: it stands in for vCenter.
func (g guest) AcquireScreen(context.Context, models.CloudID, string) (vsphere.Screen, error) {
	return g.screen, nil
}

// picture is the screen as QEMU itself draws it.
func (g guest) picture(t *testing.T) image.Image {
	t.Helper()
	conn, err := net.Dial("unix", g.monitor)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	answers := bufio.NewScanner(conn)
	file := filepath.Join(t.TempDir(), "screen.png")
	for _, command := range []string{`{"execute":"qmp_capabilities"}`,
		fmt.Sprintf(`{"execute":"screendump","arguments":{"filename":%q,"format":"png"}}`, file)} {
		if _, err := conn.Write([]byte(command + "\n")); err != nil {
			t.Fatal(err)
		}
		for {
			if !answers.Scan() {
				t.Fatalf("QEMU's monitor left: %v", answers.Err())
			}
			var answer struct {
				Return *json.RawMessage `json:"return"`
				Error  *struct {
					Desc string `json:"desc"`
				} `json:"error"`
			}
			if err := json.Unmarshal(answers.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Error != nil {
				t.Fatalf("%s: %s", command, answer.Error.Desc)
			}
			if answer.Return != nil {
				break
			}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// shown is the screen as the browser's canvas has it.
func shown(t *testing.T, b *testkit.Browser) image.Image {
	t.Helper()
	const pixels = `(() => { const c = document.querySelector('[data-console-screen] canvas')
		const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data
		let s = ''; for (let i = 0; i < d.length; i += 8192) s += String.fromCharCode(...d.subarray(i, i + 8192))
		return {width: c.width, height: c.height, pixels: btoa(s)} })()`
	got := testkit.Eval[struct {
		Width, Height int
		Pixels        []byte
	}](b, pixels)
	if len(got.Pixels) != 4*got.Width*got.Height {
		t.Fatalf("%d bytes for %d × %d", len(got.Pixels), got.Width, got.Height)
	}
	return &image.NRGBA{Pix: got.Pixels, Stride: 4 * got.Width, Rect: image.Rect(0, 0, got.Width, got.Height)}
}

// sameScreen is what a blinking cursor may change: about 16 of 288,000 pixels.
// Fifteen letters change 350.
const sameScreen = 0.0003

// difference is the share of pixels that are not alike, and how many of a are lit.
func difference(a, b image.Image) (differ float64, lit int) {
	if a.Bounds().Size() != b.Bounds().Size() {
		return 1, 0
	}
	size, unlike := a.Bounds().Size(), 0
	bright := func(c color.Color) bool { return color.GrayModel.Convert(c).(color.Gray).Y > 90 }
	for y := range size.Y {
		for x := range size.X {
			if bright(a.At(x, y)) {
				lit++
			}
			if bright(a.At(x, y)) != bright(b.At(x, y)) {
				unlike++
			}
		}
	}
	return float64(unlike) / float64(size.X*size.Y), lit
}

// A real machine's screen, through the portal's own proxy, in a real browser:
// the picture is the machine's, and the keys arrive.
func TestRealMachineIsSeenAndTypedInto(t *testing.T) {
	t.Parallel()
	g := bootGuest(t)
	portal := newScreenPortal(t, g)
	b := testkit.NewBrowser(t, portal.url, filepath.Join(testkit.Root(), "e2e", "artifacts", "qemu"))
	b.Open("/sign-in")
	b.Fill("#email", "user@acme.example")
	b.Fill("#password", testkit.SitePassword)
	b.Click("main form button[type=submit]")
	b.Until("signed in", "location.pathname !== '/sign-in'")
	b.Open("/orgs/acme/machines/" + string(portal.machine.ID) + "/console")
	b.Until("a picture", "document.querySelector('[data-console-screen] canvas')?.width >= 640")

	alike := func(what string) image.Image {
		t.Helper()
		var differ float64
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			theirs := g.picture(t)
			var lit int
			if differ, lit = difference(theirs, shown(t, b)); differ < sameScreen && lit > 300 {
				return theirs
			}
		}
		b.Shot("differs")
		t.Fatalf("%s: %.3f %% of the pixels differ between QEMU and the browser", what, 100*differ)
		return nil
	}
	before := alike("the greeting")
	b.Shot("greeting")

	b.Click("[data-console-screen] canvas")
	const text = "hello, screen 4" // no capital: the test's keyboard has no shift key to press
	b.Press(text + "\r")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		typed, err := os.ReadFile(g.typed)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(typed), text+"\r") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the machine's keyboard got %q", typed)
		}
	}
	after := alike("the echo")
	if differ, _ := difference(before, after); differ < sameScreen {
		t.Errorf("typing changed %.2f %% of the screen", 100*differ)
	}
	b.Shot("echo")

	// Ctrl-Alt-Del resets the machine: its firmware and its greeting again,
	// the echo gone.
	b.Click("[popovertarget=console-keys]")
	b.Click("[data-console-keys=ctrl-alt-del]")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if differ, lit := difference(before, shown(t, b)); differ < sameScreen && lit > 300 {
			break
		}
		if time.Now().After(deadline) {
			b.Shot("not-reset")
			t.Fatal("the machine was not reset")
		}
	}
}
