package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	netmail "net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/pquerna/otp/totp"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/testkit"
)

// sends posts a form and wants one of the answers.
func (l *leaky) sends(v *testkit.Visitor, path string, form url.Values, want ...int) testkit.Answer {
	l.t.Helper()
	a, err := v.Post(path, form)
	if err != nil || !slices.Contains(want, a.Status) {
		l.t.Fatalf("%s: %d %v\n%s", path, a.Status, err, text(a.Body))
	}
	return a
}

// session keeps what the visitor's cookies say for a secret.
func (l *leaky) session(name string, v *testkit.Visitor) {
	for i, cookie := range strings.Split(v.Cookies(l.t), "; ") {
		if _, value, _ := strings.Cut(cookie, "="); len(value) >= 20 {
			l.secrets[fmt.Sprintf("cookie %d of the %s", i, name)] = value
		}
	}
}

// hop asks for an address elsewhere and returns where it sends one.
func (l *leaky) hop(address string) *url.URL {
	l.t.Helper()
	client := http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	to, err := answer.Location()
	if err != nil {
		l.t.Fatalf("%s: %d %v", address, answer.StatusCode, err)
	}
	return to
}

// singleSignOn brings the admin in, after a try that the provider refuses.
func (l *leaky) singleSignOn() {
	l.t.Helper()
	jane := &mockoidc.MockUser{Subject: "subject-1", Email: "jane@people.example", EmailVerified: true, PreferredUsername: "Jane", Groups: []string{"acme-admins"}}
	for _, good := range []bool{false, true} {
		v := testkit.NewVisitor(l.t, l.portal.URL)
		l.issuer.QueueUser(jane)
		start, err := v.Get("/sign-in/sso?next=/account")
		if err != nil || start.Status != http.StatusSeeOther {
			l.t.Fatalf("single sign-on: %d %v", start.Status, err)
		}
		l.session("way to the provider", v)
		back := l.hop(start.Location)
		q := back.Query()
		name, want := "the code", http.StatusSeeOther
		if !good {
			q.Set("code", "an-invented-code-86420")
			name, want = "the refused code", http.StatusBadRequest
		}
		l.secrets[name], l.secrets[name+"'s state"] = q.Get("code"), q.Get("state")
		if a, err := v.Get(back.Path + "?" + q.Encode()); err != nil || a.Status != want {
			l.t.Fatalf("%s: %d %v", name, a.Status, err)
		}
		l.admin = v
	}
	l.session("admin", l.admin)
}

// passwords has the user mistype one, set up a second factor and use it.
func (l *leaky) passwords() {
	l.t.Helper()
	for _, email := range []string{"user@acme.example", "operator@provider.example"} {
		l.SetPassword(email)
	}
	l.operator, l.user = testkit.NewVisitor(l.t, l.portal.URL), testkit.NewVisitor(l.t, l.portal.URL)
	l.operator.SignIn(l.t, "operator@provider.example", testkit.SitePassword)
	l.session("operator", l.operator)
	l.secrets["a mistyped password"] = "a pasword for tests"
	l.sends(l.user, "/sign-in", url.Values{"email": {"user@acme.example"}, "password": {"a pasword for tests"}}, http.StatusUnprocessableEntity)
	l.user.SignIn(l.t, "user@acme.example", testkit.SitePassword)
	l.session("user", l.user)
	l.sends(l.user, "/account/second-factor", nil, http.StatusSeeOther)
	page, err := l.user.Get("/account/second-factor")
	if err != nil {
		l.t.Fatal(err)
	}
	key := strings.ReplaceAll(l.secrets.Find(l.t, "the second factor", `data-secret="totp">([A-Z2-7 ]+)<`, page.Body), " ", "")
	code, err := totp.GenerateCode(key, time.Now())
	if err != nil {
		l.t.Fatal(err)
	}
	codes := l.sends(l.user, "/account/second-factor/confirm", url.Values{"code": {code}}, http.StatusOK)
	recovery := regexp.MustCompile(`<li>([a-z2-7-]{19})</li>`).FindAllStringSubmatch(codes.Body, -1)
	if len(recovery) < 8 {
		l.t.Fatalf("%d recovery codes", len(recovery))
	}
	for i, found := range recovery {
		l.secrets[fmt.Sprintf("recovery code %d", i)] = found[1]
	}
	again := testkit.NewVisitor(l.t, l.portal.URL)
	again.SignIn(l.t, "user@acme.example", testkit.SitePassword)
	l.session("half sign-in", again)
	l.sends(again, "/sign-in/code", url.Values{"code": {recovery[0][1]}}, http.StatusSeeOther)
	l.session("user's other browser", again)
}

// people has the admin invite somebody by a mail server that says "later", and
// make a token.
func (l *leaky) people() {
	l.t.Helper()
	l.post.Refuse(451)
	l.sends(l.admin, "/orgs/acme/people/invitations", url.Values{"email": {"new@people.example"}, "role": {"user"}}, http.StatusSeeOther)
	letter, err := netmail.ReadMessage(strings.NewReader(l.post.Letter(l.t)))
	if err != nil {
		l.t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(letter.Body))
	if err != nil {
		l.t.Fatal(err)
	}
	token := l.secrets.Find(l.t, "the invitation", `/invitation\?token=([\w-]{43})`, string(body))
	nina := testkit.NewVisitor(l.t, l.portal.URL)
	if a, err := nina.Get("/invitation?token=" + token); err != nil || a.Status != http.StatusSeeOther {
		l.t.Fatalf("invitation: %d %v", a.Status, err)
	}
	l.secrets["the newcomer's password"] = "hopscotch under lamps"
	l.sends(nina, "/invitation", url.Values{"name": {"Nina"}, "password": {"hopscotch under lamps"}, "again": {"hopscotch under lamps"}}, http.StatusSeeOther)
	l.session("newcomer", nina)
	made := l.sends(l.admin, "/account/tokens", url.Values{"name": {"deploy-bot"}, "org": {"acme"}, "role": {"admin"}}, http.StatusOK)
	bearer := l.secrets.Find(l.t, "the API token", `(mw_[\w-]{43})`, made.Body)
	l.secrets["a wrong API token"] = "mw_" + strings.Repeat("wrong-", 7) + "x"
	for bearer, want := range map[string]int{bearer: http.StatusOK, l.secrets["a wrong API token"]: http.StatusUnauthorized} {
		if status, _ := l.bears(bearer, "/orgs/acme/machines"); status != want {
			l.t.Errorf("with a token: %d, want %d", status, want)
		}
	}
}

// bears asks with a bearer token.
func (l *leaky) bears(token, path string) (status int, body string) {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.portal.URL+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// machines has the user order two, one of them across the portal's death, and
// look at a screen that works and one that can't be reached.
func (l *leaky) machines() {
	l.t.Helper()
	first := order(l.t, l.user, "web-1")
	watch(l.t, l.user, first, "running", is("running"))
	if err := l.screen(first, "a console ticket"); err != nil {
		l.t.Errorf("console: %v", err)
	}
	l.relay.away.Store(true)
	var closed *websocket.CloseError
	if err := l.screen(first, "a console ticket for nothing"); !asClose(err, &closed) || closed.Code != 4502 {
		l.t.Errorf("console without a vCenter: %v", err)
	}
	l.until("the feed's interruption is logged", func() bool { return strings.Contains(l.Portal.Log(), "the feed of a cloud was interrupted") })
	l.relay.away.Store(false)
	watch(l.t, l.operator, "/provider/clouds", "connected", func(body string) bool { return strings.Contains(body, "Connected") })

	second := order(l.t, l.user, "web-2")
	l.until("the clone is under way", func() bool { return l.relay.clones.Load() > 1 })
	l.Portal.Kill()
	l.places["the log of the portal that was killed"] = l.Portal.Log()
	fresh := l.Start()
	for _, v := range []*testkit.Visitor{l.admin, l.user, l.operator} {
		v.Rebase(fresh)
	}
	watch(l.t, l.user, second, "running", is("running"))
}

func (l *leaky) until(what string, met func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !met(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("not in time: %s", what)
		}
	}
}

func asClose(err error, to **websocket.CloseError) bool {
	closed, is := err.(*websocket.CloseError) //nolint:errorlint // as the library returns it
	*to = closed
	return is
}

// screen opens a console and waits for its first bytes.
func (l *leaky) screen(machine, name string) error {
	l.t.Helper()
	a := l.sends(l.user, machine+"/console/ticket", nil, http.StatusOK)
	var ticket struct {
		Ticket string `json:"ticket"`
		URL    string `json:"url"`
	}
	if err := json.Unmarshal([]byte(a.Body), &ticket); err != nil || ticket.Ticket == "" {
		l.t.Fatalf("%s: %v", a.Body, err)
	}
	l.secrets[name] = ticket.Ticket
	dialer := websocket.Dialer{Subprotocols: []string{"binary", "ticket." + ticket.Ticket}, HandshakeTimeout: 20 * time.Second}
	conn, answer, err := dialer.DialContext(l.t.Context(), ticket.URL, http.Header{"Origin": {l.portal.URL}, "Cookie": {l.user.Cookies(l.t)}})
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // the socket is not in it
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		kind, _, err := conn.ReadMessage()
		if err != nil || kind == websocket.BinaryMessage {
			return err
		}
	}
}

// network has a gateway registered, and a VPN with a device.
func (l *leaky) network() {
	l.t.Helper()
	made := l.sends(l.operator, "/provider/edges", url.Values{"name": {"gw-1"}}, http.StatusOK)
	l.secrets.Find(l.t, "the gateway's first token", `data-edge-token>[\s\S]*?data-copy="([\w-]{30,})"`, made.Body)
	at := regexp.MustCompile(`/provider/edges/[0-9a-f-]{36}`).FindString(made.Body)
	rotated := l.sends(l.operator, at+"/rotate", nil, http.StatusOK)
	token := l.secrets.Find(l.t, "the gateway's token", `data-edge-token>[\s\S]*?data-copy="([\w-]{30,})"`, rotated.Body)
	l.sends(l.operator, "/provider/networks/ranges", url.Values{"name": {"front"}, "first_address": {"203.0.113.10"}, "last_address": {"203.0.113.20"}, "price": {"0.004"}}, http.StatusSeeOther)
	page, err := l.admin.Get("/orgs/acme/network")
	if err != nil {
		l.t.Fatal(err)
	}
	form := url.Values{"accept": {"yes"}}
	if price := regexp.MustCompile(`name="price" value="(\d+)"`).FindStringSubmatch(page.Body); price != nil {
		form.Set("price", price[1])
	}
	l.sends(l.admin, "/orgs/acme/network/ips", form, http.StatusSeeOther)
	page, err = l.admin.Get("/orgs/acme/network/vpn")
	if err != nil {
		l.t.Fatal(err)
	}
	ip := regexp.MustCompile(`<option value="([^"]+)"`).FindStringSubmatch(page.Body)
	if ip == nil {
		l.t.Fatalf("no address for the VPN: %s", text(page.Body))
	}
	l.sends(l.admin, "/orgs/acme/network/vpn", url.Values{"public_ip": {ip[1]}}, http.StatusSeeOther)
	device := l.sends(l.admin, "/orgs/acme/network/vpn/devices", url.Values{"device": {"laptop"}, "public_key": {""}}, http.StatusOK)
	l.secrets.Find(l.t, "the device's private key", `PrivateKey = ([A-Za-z0-9+/]{43}=)`, strings.ReplaceAll(device.Body, "&#43;", "+"))
	// The gateway is the one that is told the org's end of it.
	l.until("the gateway is given the org's network", func() bool {
		_, body := l.bears(token, "/edge/v1/desired")
		var desired edge.Desired
		if err := json.Unmarshal([]byte(body), &desired); err != nil {
			l.t.Fatalf("%s: %v", body, err)
		}
		for _, org := range desired.Orgs {
			if org.VPN != nil {
				l.secrets["the VPN's private key"] = org.VPN.PrivateKey
			}
		}
		return l.secrets["the VPN's private key"] != ""
	})
	if status, _ := l.bears("a-wrong-gateway-token", "/edge/v1/desired"); status != http.StatusUnauthorized {
		l.t.Errorf("a wrong gateway's token: %d", status)
	}
	l.secrets["a wrong gateway's token"] = "a-wrong-gateway-token"
	l.secrets["an entered cloud's password"] = "vc-Secret-0123456789"
	l.sends(l.operator, "/provider/clouds", url.Values{"slug": {"third"}, "name": {"Third"}, "class": {"private"}, "price_factor": {"100"}, "url": {"https://127.0.0.1:1/sdk"}, "username": {"portal"},
		"password": {"vc-Secret-0123456789"}, "pin": {strings.Repeat("AB:", 31) + "AB"}, "pin_confirmed": {"yes"}}, http.StatusUnprocessableEntity)
}
