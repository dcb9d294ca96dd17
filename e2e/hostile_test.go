package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// hostile is a hypervisor whose guest calls itself what it likes.
type hostile struct {
	server *httptest.Server
	name   string
}

const webmks = "webmks-one-time-secret"

func newHostile(t *testing.T, name string) *hostile {
	t.Helper()
	h := &hostile{name: name}
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(h.serve))
	h.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	h.server.StartTLS()
	t.Cleanup(func() { h.server.CloseClientConnections(); h.server.Close() })
	return h
}

func (h *hostile) AcquireScreen(context.Context, models.CloudID, string) (vsphere.Screen, error) {
	sum := sha256.Sum256(h.server.Certificate().Raw)
	return vsphere.Screen{URL: "wss" + strings.TrimPrefix(h.server.URL, "https") + "/ticket/" + webmks,
		ThumbprintsSHA256: []string{hex.EncodeToString(sum[:])}}, nil
}

// serve is a screen of 64 × 48 pixels, all of one colour.
func (h *hostile) serve(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{Subprotocols: []string{"binary"}, CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	const width, height = 64, 48
	send := func(p []byte) { _ = conn.WriteMessage(websocket.BinaryMessage, p) }
	send([]byte("RFB 003.008\n"))
	answers := [][]byte{{1, 1}, {0, 0, 0, 0}}
	init := []byte{0, width, 0, height, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0}
	init = binary.BigEndian.AppendUint32(init, uint32(len(h.name))) // #nosec G115 -- short
	answers = append(answers, append(init, h.name...))
	picture := []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, width, 0, height, 0, 0, 0, 0}
	for range width * height {
		picture = append(picture, 200, 180, 90, 0)
	}
	for {
		_, p, err := conn.ReadMessage()
		switch {
		case err != nil:
			return
		case len(answers) > 0:
			send(answers[0])
			answers = answers[1:]
		case p[0] == 3: // FramebufferUpdateRequest
			if p[1] == 0 {
				send(picture)
			}
		}
	}
}

// A guest's name is a guest's to choose: it is neither shown nor obeyed. And
// the page holds none of the secrets that got it its screen.
func TestHostileGuestNameDoesNothing(t *testing.T) {
	t.Parallel()
	const name = `hostilename</title><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`
	host := newHostile(t, name)
	log := &lockedText{}
	p := newLoggedScreenPortal(t, host, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	b := testkit.NewBrowser(t, p.url, filepath.Join(testkit.Root(), "e2e", "artifacts", "console"))
	b.Open("/sign-in")
	b.Fill("#email", "user@acme.example")
	b.Fill("#password", testkit.SitePassword)
	b.Click("main form button[type=submit]")
	b.Until("signed in", "location.pathname !== '/sign-in'")
	b.Open("/orgs/acme/machines/" + string(p.machine.ID))
	b.Open(b.Path() + "/console")
	b.Until("a picture", `document.querySelector('[data-console]')?.dataset.connection === 'good' && document.querySelector('[data-console-last]').hidden`)
	b.Until("the guest's colour", `(c => { const d = c.getContext('2d').getImageData(5, 5, 1, 1).data; return d[0] === 200 && d[1] === 180 && d[2] === 90 })(document.querySelector('[data-console-screen] canvas'))`)
	before := testkit.Eval[string](b, "document.title")
	if !strings.Contains(before, p.machine.Name) {
		t.Errorf("the title is %q, without the machine's own name", before)
	}
	markup := testkit.Eval[string](b, `document.documentElement.outerHTML + [...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.value)).join(' ') + document.title`)
	for _, secret := range []string{"hostilename", webmks, strings.TrimPrefix(host.server.URL, "https://"), "ticket."} {
		if strings.Contains(markup, secret) {
			t.Errorf("the page has %q", secret)
		}
	}
	if testkit.Eval[bool](b, "'hacked' in window") {
		t.Error("the guest's name was obeyed")
	}
	// Nor is anything in the addresses that the page has asked for, or kept.
	asked := testkit.Eval[string](b, `performance.getEntries().map(e => e.name).join(' ') + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage}) + document.cookie`)
	for _, secret := range []string{webmks, strings.TrimPrefix(host.server.URL, "https://"), "ticket."} {
		if strings.Contains(asked, secret) || strings.Contains(log.String(), secret) {
			t.Errorf("the page's addresses, its storage or the portal's log have %q", secret)
		}
	}
	if len(log.String()) == 0 {
		t.Error("the portal logged nothing")
	}
	// Nor on any page of the portal while the console is open, of its org and of
	// the provider, with the ticket itself among what is looked for.
	visitors := map[string]*testkit.Visitor{}
	for _, email := range []string{"user@acme.example", "operator@provider.example"} {
		hash, err := identity.HashPassword(testkit.SitePassword)
		if err == nil {
			err = p.System.SetPassword(context.Background(), p.User(email).ID, hash)
		}
		if err != nil {
			t.Fatal(err)
		}
		visitors[email] = testkit.NewVisitor(t, p.url)
		visitors[email].SignIn(t, email, testkit.SitePassword)
	}
	user, operator := visitors["user@acme.example"], visitors["operator@provider.example"]
	machine := "/orgs/acme/machines/" + string(p.machine.ID)
	given, err := user.Post(machine+"/console/ticket", url.Values{"mode": {"view"}})
	var ticket struct {
		Ticket string `json:"ticket"`
	}
	if err != nil || json.Unmarshal([]byte(given.Body), &ticket) != nil || len(ticket.Ticket) != 43 {
		t.Fatalf("ticket: %d %v %s", given.Status, err, given.Body)
	}
	secrets := []string{webmks, strings.TrimPrefix(host.server.URL, "https://"), ticket.Ticket}
	for visitor, paths := range map[*testkit.Visitor][]string{
		user: {"/orgs/acme/", "/orgs/acme/machines", machine, machine + "/console", machine + "/console?part=live", "/orgs/acme/tasks", "/orgs/acme/history",
			"/orgs/acme/history?action=console.open", "/orgs/acme/history?action=console.ticket", "/account"},
		operator: {"/provider/", "/provider/consoles", "/provider/history", "/provider/health", "/provider/tasks", "/provider/orgs"},
	} {
		for _, path := range paths {
			a, err := visitor.Get(path)
			if err != nil || a.Status != http.StatusOK {
				t.Errorf("%s: %d %v", path, a.Status, err)
			}
			head := fmt.Sprint(a.Header)
			for _, secret := range secrets {
				if strings.Contains(a.Body, secret) || strings.Contains(head, secret) {
					t.Errorf("%s has %q", path, secret)
				}
			}
		}
	}
	for _, secret := range secrets {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
