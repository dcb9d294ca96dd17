package e2e_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pquerna/otp/totp"
)

// The portal, built with the certified module and run with everything else
// refused, serves TLS, signs somebody in, by an authenticator app's codes as
// well, and opens a console; there is no VPN Connect. In the whole of it only
// the WebSocket handshake's SHA-1 and that of the codes are let through.
func TestConsoleOpensUnderEnforcedFIPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "millwright")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/millwright/millwright/cmd/millwright")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFIPS140=v1.0.0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	certFile, keyFile, roots := selfSignedFiles(t, dir)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	portal := exec.CommandContext(ctx, binary, "demo", "--addr", "127.0.0.1:0", "--data", filepath.Join(dir, "data"),
		"--seed-machines", "3", "--cert-file", certFile, "--key-file", keyFile)
	portal.Env = append(os.Environ(), "GODEBUG=fips140=only")
	var log strings.Builder
	portal.Stderr = &log
	portal.Cancel = func() error { return portal.Process.Signal(os.Interrupt) }
	out, err := portal.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := portal.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = portal.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	ready, err := bufio.NewReader(out).ReadString('\n')
	go func() { _, _ = io.Copy(io.Discard, out) }()
	base, isTLS := strings.CutPrefix(strings.TrimSpace(ready), "ready ")
	if err != nil || !isTLS || !strings.HasPrefix(base, "https://") {
		t.Fatalf("it says %q: %v", ready, err)
	}

	trust := &tls.Config{RootCAs: roots}
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: trust},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(path string, form url.Values) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", base)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if status, body := post("/sign-in", url.Values{"email": {"user@acme.example"}, "password": {"millwright"}}); status != http.StatusSeeOther {
		t.Fatalf("sign in: %d\n%s", status, body)
	}
	at, _ := url.Parse(base)
	if cookies := jar.Cookies(at); len(cookies) != 1 || !strings.HasPrefix(cookies[0].Name, "__Host-") {
		t.Errorf("cookies are %v", cookies)
	}
	get := func(path string) string {
		t.Helper()
		answer, err := client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", path, answer.StatusCode, err)
		}
		return string(body)
	}
	// The second factor: set up, then asked for at the next sign-in.
	if status, body := post("/account/second-factor", nil); status != http.StatusSeeOther {
		t.Fatalf("second factor: %d\n%s", status, body)
	}
	secret := regexp.MustCompile(`data-secret="totp">([A-Z2-7 ]+)<`).FindStringSubmatch(get("/account/second-factor"))
	if secret == nil {
		t.Fatal("there is no secret to scan")
	}
	code := func(at time.Time) url.Values {
		t.Helper()
		text, err := totp.GenerateCode(strings.ReplaceAll(secret[1], " ", ""), at)
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{"code": {text}}
	}
	if status, body := post("/account/second-factor/confirm", code(time.Now())); status != http.StatusOK {
		t.Fatalf("confirm the second factor: %d\n%s", status, body)
	}
	jar, _ = cookiejar.New(nil)
	client.Jar = jar
	if status, body := post("/sign-in", url.Values{"email": {"user@acme.example"}, "password": {"millwright"}}); status != http.StatusSeeOther {
		t.Fatalf("sign in again: %d\n%s", status, body)
	}
	if status, _ := post("/sign-in/code", url.Values{"code": {"000000"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code: %d", status)
	}
	// The code of the next half minute: the first has been used.
	if status, body := post("/sign-in/code", code(time.Now().Add(30*time.Second))); status != http.StatusSeeOther {
		t.Fatalf("the code: %d\n%s", status, body)
	}

	machine := regexp.MustCompile(`data-machine-id="([^"]+)"`).FindStringSubmatch(get("/orgs/acme/machines"))
	if machine == nil {
		t.Fatal("there is no machine")
	}
	status, body := post("/orgs/acme/machines/"+machine[1]+"/console/ticket", nil)
	var ticket struct {
		Ticket string `json:"ticket"`
		URL    string `json:"url"`
	}
	if err := json.Unmarshal([]byte(body), &ticket); err != nil || status != http.StatusOK {
		t.Fatalf("ticket: %d %s", status, body)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"binary", "ticket." + ticket.Ticket}, TLSClientConfig: trust, Jar: jar}
	conn, _, err := dialer.DialContext(ctx, ticket.URL, http.Header{"Origin": {base}})
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if kind, greeting, err := conn.ReadMessage(); err != nil || kind != websocket.BinaryMessage || string(greeting) != "RFB 003.008\n" {
		t.Errorf("the screen says %q: %v", greeting, err)
	}
	// WireGuard isn't approved: the page says so and asks nothing, and who asks
	// all the same is told.
	if status, body := post("/sign-in", url.Values{"email": {"admin@acme.example"}, "password": {"millwright"}}); status != http.StatusSeeOther {
		t.Fatalf("sign in as admin: %d\n%s", status, body)
	}
	const vpn, refused = "/orgs/acme/network/vpn", "VPN Connect isn&#39;t available here: this portal runs under enforced FIPS 140-3"
	if text := get(vpn); !strings.Contains(text, refused) || strings.Contains(text, `name="public_ip"`) || strings.Contains(text, "data-vpn-form") {
		t.Errorf("the VPN's page:\n%s", text)
	}
	for path, form := range map[string]url.Values{vpn: {"public_ip": {""}}, vpn + "/devices": {"device": {"laptop"}, "public_key": {"4iRRmNNS1FAIeFFqSOGmjFU3yzZkEyjqVFMPWrHpEgI="}}} {
		if status, body := post(path, form); status != http.StatusConflict || !strings.Contains(body, refused) {
			t.Errorf("post %s: %d\n%s", path, status, body)
		}
	}
}

func selfSignedFiles(t *testing.T, dir string) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	return certFile, keyFile, roots
}
