package config_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/config"
)

const good = `
portal: {public_url: "https://portal.example"}
clouds:
  - {slug: east, name: East, class: private, url: "https://vc.example/sdk", username: u, password_file: pw}
templates:
  - {slug: debian-13, name: Debian 13, images: {east: "5c1d"}}
instance_types:
  - {slug: small, name: Small, vcpus: 1, memory_mib: 1024, disk_gib: 10, price_per_hour: 0.012}
orgs:
  - slug: acme
    name: Acme
    quota: {machines: 10}
    networks: [{cloud: east, name: default, cidr: 10.0.0.0/24, gateway: 10.0.0.1}]
    members: [{email: a@acme.example, name: A, role: admin}]
`

func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "millwright.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGoodFileIsRead(t *testing.T) {
	t.Parallel()
	c, err := config.Read(write(t, good))
	if err != nil {
		t.Fatal(err)
	}
	if c.Clouds[0].Password != "s3cret" || c.Portal.Listen != "127.0.0.1:8080" || c.Orgs[0].Members[0].Role != "admin" {
		t.Errorf("read %+v", c)
	}
}

func TestMistakesAreAllTold(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"unknown field":  {"public_url", "publik_url"},
		"class":          {"class: private", "class: hybrid"},
		"plain http":     {"https://vc.example", "http://vc.example"},
		"no password":    {"password_file: pw", "password_env: MILLWRIGHT_NOT_SET"},
		"unknown cloud":  {"images: {east", "images: {west"},
		"gateway":        {"10.0.0.1}", "10.9.0.1}"},
		"role":           {"role: admin", "role: boss"},
		"size":           {"vcpus: 1", "vcpus: 0"},
		"slug":           {"slug: acme", "slug: Acme!"},
		"credential url": {"https://vc.example", "https://u:p@vc.example"},
	} {
		_, err := config.Read(write(t, strings.Replace(good, change[0], change[1], 1)))
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	both := strings.Replace(strings.Replace(good, "role: admin", "role: boss", 1), "class: private", "class: hybrid", 1)
	if _, err := config.Read(write(t, both)); err == nil || !strings.Contains(err.Error(), "role") || !strings.Contains(err.Error(), "class") {
		t.Errorf("two mistakes told as: %v", err)
	}
}

func TestFormerKeysNeedOneThatFollowed(t *testing.T) {
	t.Parallel()
	former := strings.Replace(good, `"https://portal.example"`, `"https://portal.example", former_checkpoint_keys: [a.pub]`, 1)
	if _, err := config.Read(write(t, former)); err == nil || !strings.Contains(err.Error(), "former_checkpoint_keys") {
		t.Errorf("accepted: %v", err)
	}
	signed := strings.Replace(former, "former", "checkpoint_key_file: key, checkpoint_file: checkpoints.jsonl, former", 1)
	if c, err := config.Read(write(t, signed)); err != nil || len(c.Portal.FormerCheckpointKeys) != 1 {
		t.Errorf("%+v: %v", c.Portal, err)
	}
}

// What is archived is signed, is of some age and goes to some place: less than
// all of that is a mistake.
func TestHistorySettingsGoTogether(t *testing.T) {
	t.Parallel()
	signed := strings.Replace(good, `"https://portal.example"`, `"https://portal.example", checkpoint_key_file: key, checkpoint_file: checkpoints.jsonl`, 1)
	c, err := config.Read(write(t, signed+"history: {archive_after_days: 365, archive_dir: segments}\n"))
	if err != nil || c.History.ArchiveAfterDays != 365 || !strings.HasSuffix(c.History.ArchiveDir, "segments") {
		t.Errorf("%+v: %v", c.History, err)
	}
	for text, base := range map[string]string{
		"archive_after_days: 365": signed, "archive_dir: segments": signed, "archive_after_days: -1, archive_dir: segments": signed,
		"archive_after_days: 40000, archive_dir: segments": signed, "archive_after_days: 365, archive_dir: segments": good, "archive_after: 365": signed,
	} {
		if _, err := config.Read(write(t, base+"history: {"+text+"}\n")); err == nil || !strings.Contains(err.Error(), "archive") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Where the portal itself connects to is said plainly, and nothing secret goes
// there in the clear.
func TestOutwardAddressesAreHeldToTheirForm(t *testing.T) {
	t.Parallel()
	sso := func(issuer string) string {
		return "oidc: {issuer: " + strconv.Quote(issuer) + ", client_id: portal, client_secret_file: pw, mappings: [{group: g, org: acme, role: user}]}\n"
	}
	post := func(rest string) string {
		return "mail: {from: \"Millwright <portal@provider.example>\", " + rest + "}\n"
	}
	for text, want := range map[string]bool{
		sso("https://sso.example/realms/a"): true, sso("http://127.0.0.1:8081"): true, sso("http://localhost:8081/x"): true,
		sso("http://sso.example"): false, sso("http://10.0.0.1"): false, sso("http://127.0.0.1.evil.example"): false, sso("https://u:p@sso.example"): false,
		sso("https://sso.example?x=1"): false, sso("https://sso.example#x"): false, sso("file:///etc/passwd"): false, sso("https://"): false, sso("sso.example"): false, sso(""): false,
		post("host: smtp.example, username: u, password_file: pw"): true, post("host: smtp.example, security: tls"): true,
		post("host: 127.0.0.1, security: none, username: u, password_file: pw"): true, post("host: smtp.example, security: none"): true,
		post("host: smtp.example, security: none, username: u, password_file: pw"): false, post("host: \"\""): false, post("host: smtp.example, port: 70000"): false,
		post("host: smtp.example, security: ssl3"): false, post("host: smtp.example, username: u"): false,
	} {
		if _, err := config.Read(write(t, good+text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestKeyHasToBe32Bytes(t *testing.T) {
	t.Parallel()
	if _, err := config.Key("c2hvcnQ=", ""); err == nil {
		t.Error("a short key was taken")
	}
	if _, err := config.Key("", ""); err == nil {
		t.Error("no key was taken")
	}
	if k, err := config.Key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", ""); err != nil || len(k) != 32 {
		t.Errorf("a good key: %v", err)
	}
}
