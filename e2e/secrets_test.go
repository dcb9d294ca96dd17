package e2e_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// The real portal, with a vCenter, an identity provider and a mail server that
// each also misbehave, and killed once: whatever secret went through it is in
// no line that it logged, at the most talkative level, no column, no page, no
// export.
func TestNoSecretLeavesAServingPortal(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		noSecretLeaves(t, "sqlite://"+filepath.Join(t.TempDir(), "portal.db"))
	})
	t.Run("postgres", func(t *testing.T) { t.Parallel(); noSecretLeaves(t, testkit.PostgresURL(t)) })
}

// leaky is a whole site and the secrets that were seen to pass through it.
type leaky struct {
	*testkit.Site
	t       *testing.T
	relay   *relay
	issuer  *testkit.Issuer
	post    *testkit.MailServer
	secrets testkit.Secrets
	places  map[string]string
	outside string // the file of checkpoints
	portal  *testkit.Visitor

	admin, user, operator *testkit.Visitor
}

func newLeaky(t *testing.T, database string) *leaky {
	t.Helper()
	l := &leaky{t: t, issuer: testkit.NewIssuer(t), post: testkit.NewMailServer(t), places: map[string]string{}, secrets: testkit.Secrets{
		"the portal's key": string(testkit.Key), "the mail server's password": "smtp-Secret-97531", "an account's password": testkit.SitePassword,
	}}
	l.post.Plain = true
	vcenter := testkit.RunLabVCenter(t, "--name", "east", "--clone-delay", "300ms", "--guest-boot-delay", "100ms")
	l.relay = newRelay(t, vcenter)
	l.Site = testkit.NewSite(t, database, map[string]*testkit.LabVCenter{"east": l.relay.as(vcenter)})
	l.secrets["vCenter's password"] = vcenter.Password
	dir := t.TempDir()
	signs := filepath.Join(dir, "checkpoint.key")
	if _, err := audit.ReadOrMakeKey(signs); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(signs)
	if err != nil {
		t.Fatal(err)
	}
	l.secrets.Find(t, "the key that signs", `-----\n([^-]{20,}?)\n-----`, string(pem))
	l.outside = filepath.Join(dir, "checkpoints.jsonl")
	l.secrets["the OIDC client's secret"] = l.issuer.ClientSecret
	l.Add(fmt.Sprintf(`
mail: {host: 127.0.0.1, port: %d, security: none, username: portal, password_env: SMTP_SECRET, from: "Millwright <portal@provider.example>"}
oidc: {issuer: %q, client_id: %q, client_secret_env: OIDC_SECRET, label: Example SSO, scopes: [profile, email, groups], mappings: [{group: acme-admins, org: acme, role: admin}]}
`, l.post.Port, l.issuer.Issuer(), l.issuer.ClientID),
		"SMTP_SECRET="+l.secrets["the mail server's password"], "OIDC_SECRET="+l.issuer.ClientSecret, "MILLWRIGHT_LOG_LEVEL=debug")
	l.Signing(signs, l.outside)
	l.portal = l.Start()
	return l
}

var inPage = regexp.MustCompile(`href="(/[^"#]*)`)

// read keeps every page that links lead the visitor to, each address once
// whatever its query.
func (l *leaky) read(name string, v *testkit.Visitor, from ...string) {
	l.t.Helper()
	seen := map[string]bool{}
	for n := 0; n < len(from); n++ {
		path, _, _ := strings.Cut(from[n], "?")
		if seen[path] || strings.HasPrefix(path, "/static/") || strings.HasSuffix(path, "/export") || strings.HasSuffix(path, "/events") {
			continue // an export comes by itself; the other never ends
		}
		seen[path] = true
		a, err := v.Get(from[n])
		if err != nil || a.Status >= http.StatusInternalServerError {
			l.t.Fatalf("%s: %d %v", from[n], a.Status, err)
		}
		if a.Status != http.StatusOK {
			continue
		}
		l.places[path+" to the "+name] = a.Body
		for _, link := range inPage.FindAllStringSubmatch(a.Body, -1) {
			from = append(from, strings.ReplaceAll(link[1], "&amp;", "&"))
		}
	}
}

func noSecretLeaves(t *testing.T, database string) {
	t.Helper()
	l := newLeaky(t, database)
	l.singleSignOn()
	l.passwords()
	l.people()
	l.machines()
	l.network()
	for i, secret := range l.relay.passed() {
		l.secrets[fmt.Sprintf("vCenter's ticket or session %d", i)] = secret
	}

	// All that there is.
	l.read("admin", l.admin, "/orgs/acme/", "/account", "/orgs/acme/history?limit=200")
	l.read("user", l.user, "/orgs/acme/", "/account")
	l.read("operator", l.operator, "/provider/", "/account", "/provider/outbox", "/provider/orgs/acme")
	for _, format := range []string{"csv", "jsonl"} {
		for path, v := range map[string]*testkit.Visitor{"/orgs/acme/history/export?format=" + format: l.admin, "/provider/history/export?org=provider&format=" + format: l.operator} {
			a, err := v.Get(path)
			if err != nil || a.Status != http.StatusOK || len(a.Body) < 500 {
				t.Fatalf("%s: %d %v, %d bytes", path, a.Status, err, len(a.Body))
			}
			l.places[path] = a.Body
		}
	}
	if !l.Portal.Stop(30 * time.Second) {
		t.Error("the portal did not stop by itself")
	}
	l.places["the log"] = l.Portal.Log()
	signed, err := os.ReadFile(l.outside)
	if err != nil {
		t.Fatal(err)
	}
	l.places["the checkpoints outside"] = string(signed)
	for table, text := range tables(t, database) {
		l.places["table "+table] = text
	}
	l.foundWhatThereIs()
	l.secrets.Hidden(t, l.places)
}

// tables is the database as its owner sees it, and for SQLite the file itself:
// what was deleted is not to be left in it either.
func tables(t *testing.T, database string) map[string]string {
	t.Helper()
	kind, driver, source := models.KindOf(database), "pgx", database
	if kind == models.SQLite {
		driver, source = "sqlite", strings.TrimPrefix(database, "sqlite://")
	}
	owner, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	all := testkit.Dump(t, kind, owner)
	if kind == models.SQLite {
		for _, suffix := range []string{"", "-wal"} {
			raw, err := os.ReadFile(source + suffix)
			if err != nil && suffix == "" {
				t.Fatal(err)
			}
			all["file"+suffix] = string(raw)
		}
	}
	return all
}

// foundWhatThereIs: the same places have what they are known to have, so that
// looking there means something.
func (l *leaky) foundWhatThereIs() {
	l.t.Helper()
	logs := l.places["the log"] + l.places["the log of the portal that was killed"]
	for room, line := range map[string]string{
		"factory": "the feed of a cloud was interrupted", "vsphere": "signed in to vCenter", "console": "console closed", "jobs": "taking up jobs that the last run left behind",
		"mail": "a mail could not be sent", "web": "path=/sign-in/sso/callback status=400",
	} {
		if !strings.Contains(logs, line) {
			l.t.Errorf("the log has nothing of %s: %q", room, line)
		}
	}
	for place, word := range map[string]string{
		"table audit_events": "deploy-bot", "table invitations": "new@people.example", "table mails": "new@people.example", "table sessions": "", "table river_job": "mail.deliver",
		"table vpn_gateways": "100.96.0.0", "/orgs/acme/history to the admin": "deploy-bot", "/orgs/acme/people to the admin": "Nina",
		"/account to the user": "second factor", "/provider/clouds to the operator": "East", "/provider/history to the operator": "gw-1",
	} {
		if text, looked := l.places[place]; !looked || !strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
			l.t.Errorf("%s was not looked at, or has no %q", place, word)
		}
	}
	if len(l.secrets) < 40 || len(l.places) < 90 {
		l.t.Errorf("only %d secrets and %d places", len(l.secrets), len(l.places))
	}
}
