package testkit

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/lab"
)

// Site is a portal in the production form: a configuration file, a database,
// and vCenters that don't end with it.
type Site struct {
	t        testing.TB
	config   string
	database string
	env      []string
	addr     string
	signing  string   // the configuration's part about checkpoints
	tls      *siteTLS // nil: plain HTTP, as behind a balancer
	Portal   *Process
}

// SitePassword is what SetPassword sets.
const SitePassword = "a password for tests" // #nosec G101

// NewSite writes the configuration of a portal with an operator and two orgs,
// acme and globex, with an admin and a user in each; the vCenters are known by
// the keys of clouds.
func NewSite(t testing.TB, database string, clouds map[string]*LabVCenter) *Site {
	t.Helper()
	return newSite(t, database, clouds, nil)
}

func newSite(t testing.TB, database string, clouds map[string]*LabVCenter, over *siteTLS) *Site {
	t.Helper()
	dir := t.TempDir()
	s := &Site{t: t, database: database, config: filepath.Join(dir, "millwright.yaml"), addr: FreeAddr(t), tls: over,
		env: []string{"MILLWRIGHT_KEY=" + base64.StdEncoding.EncodeToString(Key)}}
	var b strings.Builder
	b.WriteString(s.portal(s.addr, "crash-test") + "clouds:\n")
	template, _ := lab.TemplateBySlug("debian-13")
	images := []string{}
	networks := []string{}
	for _, slug := range slices.Sorted(maps.Keys(clouds)) {
		v := clouds[slug]
		s.env = append(s.env, "PASSWORD_"+strings.ToUpper(slug)+"="+v.Password)
		fmt.Fprintf(&b, "  - {slug: %s, name: %s, class: public, url: %q, username: %s, password_env: PASSWORD_%s, thumbprint_sha256: %q, instance_uuid: %s}\n",
			slug, slug, v.URL, v.Username, strings.ToUpper(slug), v.ThumbprintSHA256, v.InstanceUUID)
		images = append(images, fmt.Sprintf("%s: %s", slug, template.InstanceUUID(slug)))
		networks = append(networks, fmt.Sprintf("{cloud: %s, name: default-%s, cidr: 10.0.0.0/22, gateway: 10.0.0.1}", slug, slug))
	}
	fmt.Fprintf(&b, "templates:\n  - {slug: debian-13, name: Debian 13, os: Debian, min_vcpus: 1, min_memory_mib: 512, min_disk_gib: 8, images: {%s}}\n", strings.Join(images, ", "))
	b.WriteString("instance_types:\n  - {slug: small, name: Small, vcpus: 1, memory_mib: 1024, disk_gib: 16, price_per_hour: 0.01}\n")
	for i, org := range []string{"acme", "globex"} {
		networks := networks
		if s.tls != nil {
			networks = networks[i : i+1]
		}
		fmt.Fprintf(&b, "%s  - slug: %s\n    name: %s\n    quota: {machines: 500, vcpus: 500, memory_mib: 512000, storage_gib: 8000, consoles: 10, public_ips: 10, tasks: 100}\n    networks: [%s]\n    members: [{email: user@%s.example, name: User, role: user}, {email: admin@%s.example, name: Admin, role: admin}]\n",
			map[string]string{"acme": "orgs:\n"}[org], org, org, strings.Join(networks, ", "), org, org)
	}
	b.WriteString("operators:\n  - {email: operator@provider.example, name: Operator}\n")
	if err := os.WriteFile(s.config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// Add adds to the configuration, and to the environment that it reads secrets
// from. Call it before Start.
func (s *Site) Add(config string, env ...string) {
	s.t.Helper()
	file, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.WriteString(config)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, env...)
}

// Signing signs the history with the key in one file and puts the checkpoints
// into another. Call it before Start.
func (s *Site) Signing(keyFile, checkpointFile string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err == nil {
		before := s.portal(s.addr, "crash-test")
		s.signing = fmt.Sprintf(", checkpoint_key_file: %q, checkpoint_file: %q", keyFile, checkpointFile)
		err = os.WriteFile(s.config, []byte(strings.Replace(string(text), before, s.portal(s.addr, "crash-test"), 1)), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// portal is the configuration's part that differs between nodes.
func (s *Site) portal(listen, node string) string {
	over := ""
	if s.tls != nil {
		over = fmt.Sprintf(", tls: {cert_file: %q, key_file: %q}", s.tls.certFile, s.tls.keyFile)
	}
	return fmt.Sprintf("portal: {listen: %q, public_url: %q, node: %s%s%s}\n", listen, s.URL(), node, s.signing, over)
}

// URL is where browsers find the site.
func (s *Site) URL() string {
	if s.tls != nil {
		return "https://" + s.addr
	}
	return "http://" + s.addr
}

// Addr is where browsers find the site: the one node's address, or that of
// the balancer that a test puts there.
func (s *Site) Addr() string { return s.addr }

// StartNode serves as one node of several behind a balancer at Addr, until
// the test ends or the node is killed.
func (s *Site) StartNode(node, listen string) *Process {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	config := filepath.Join(s.t.TempDir(), node+".yaml")
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), s.portal(s.addr, "crash-test"), s.portal(listen, node), 1)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	p := Run(s.t, s.env, "serve", "--config", config, "--database", s.database)
	p.WaitLine(s.t, "ready ", 60*time.Second)
	return p
}

// Start serves until the test ends or the portal is killed.
func (s *Site) Start() *Visitor {
	s.t.Helper()
	s.Portal = Run(s.t, s.env, "serve", "--config", s.config, "--database", s.database)
	s.Portal.WaitLine(s.t, "ready ", 60*time.Second)
	return s.Visitor()
}

// Visitor is another browser at the site.
func (s *Site) Visitor() *Visitor {
	s.t.Helper()
	v := NewVisitor(s.t, s.URL())
	if s.tls != nil {
		v.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.tls.roots, MinVersion: tls.VersionTLS13}}
	}
	return v
}

// SetPassword lets the account sign in with SitePassword.
func (s *Site) SetPassword(email string) {
	s.t.Helper()
	p := Run(s.t, s.env, "set-password", "--database", s.database, email)
	p.Say(s.t, SitePassword)
	if !p.Wait(20 * time.Second) {
		s.t.Fatalf("set-password: %s", p.Log())
	}
}
