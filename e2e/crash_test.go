package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// site is a portal in the production form: a configuration file, a database,
// and vCenters that don't end with it.
type site struct {
	t        *testing.T
	config   string
	database string
	env      []string
	addr     string
	portal   *testkit.Process
}

const sitePassword = "a password for tests" // #nosec G101

func newSite(t *testing.T, database string, clouds map[string]*testkit.LabVCenter) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, database: database, config: filepath.Join(dir, "millwright.yaml"), addr: testkit.FreeAddr(t),
		env: []string{"MILLWRIGHT_KEY=" + base64.StdEncoding.EncodeToString(testkit.Key)}}
	var b strings.Builder
	fmt.Fprintf(&b, "portal: {listen: %q, public_url: %q, node: crash-test}\nclouds:\n", s.addr, "http://"+s.addr)
	template, _ := lab.TemplateBySlug("debian-13")
	images := []string{}
	networks := []string{}
	for slug, v := range clouds {
		s.env = append(s.env, "PASSWORD_"+strings.ToUpper(slug)+"="+v.Password)
		fmt.Fprintf(&b, "  - {slug: %s, name: %s, class: public, url: %q, username: %s, password_env: PASSWORD_%s, thumbprint_sha256: %q, instance_uuid: %s}\n",
			slug, slug, v.URL, v.Username, strings.ToUpper(slug), v.ThumbprintSHA256, v.InstanceUUID)
		images = append(images, fmt.Sprintf("%s: %s", slug, template.InstanceUUID(slug)))
		networks = append(networks, fmt.Sprintf("{cloud: %s, name: default-%s, cidr: 10.0.0.0/22, gateway: 10.0.0.1}", slug, slug))
	}
	fmt.Fprintf(&b, "templates:\n  - {slug: debian-13, name: Debian 13, os: Debian, min_vcpus: 1, min_memory_mib: 512, min_disk_gib: 8, images: {%s}}\n", strings.Join(images, ", "))
	b.WriteString("instance_types:\n  - {slug: small, name: Small, vcpus: 1, memory_mib: 1024, disk_gib: 16, price_per_hour: 0.01}\n")
	for _, org := range []string{"acme", "globex"} {
		fmt.Fprintf(&b, "%s  - slug: %s\n    name: %s\n    quota: {machines: 100, vcpus: 100, memory_mib: 102400, storage_gib: 1600, consoles: 10}\n    networks: [%s]\n    members: [{email: user@%s.example, name: User, role: user}]\n",
			map[string]string{"acme": "orgs:\n"}[org], org, org, strings.Join(networks, ", "), org)
	}
	if err := os.WriteFile(s.config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// start serves until the test ends or the portal is killed.
func (s *site) start() *testkit.Visitor {
	s.t.Helper()
	s.portal = testkit.Run(s.t, s.env, "serve", "--config", s.config, "--database", s.database)
	s.portal.WaitLine(s.t, "ready ", 60*time.Second)
	return testkit.NewVisitor(s.t, "http://"+s.addr)
}

func (s *site) password(email string) {
	s.t.Helper()
	p := testkit.Run(s.t, s.env, "set-password", "--database", s.database, email)
	p.Say(s.t, sitePassword)
	if !p.Wait(20 * time.Second) {
		s.t.Fatalf("set-password: %s", p.Log())
	}
}

var state = regexp.MustCompile(`data-state="([a-z]+)"`)

// Thirty orders, the portal killed in the middle of them, again and again: each
// ends as one machine, vCenter holds no other, and the quota adds up.
func TestKilledPortalLosesNoOrderAndDoublesNone(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); crash(t, "sqlite://"+filepath.Join(t.TempDir(), "portal.db")) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); crash(t, testkit.PostgresURL(t)) })
}

func crash(t *testing.T, database string) {
	const orders = 30
	v := testkit.RunLabVCenter(t, "--name", "east", "--clone-delay", "700ms", "--guest-boot-delay", "300ms")
	s := newSite(t, database, map[string]*testkit.LabVCenter{"east": v})
	visitor := s.start()
	s.password("user@acme.example")
	visitor.SignIn(t, "user@acme.example", sitePassword)

	// Ten at a time, the portal killed while their clones are on their way.
	var (
		mu       sync.Mutex
		machines []string
	)
	for round := range 3 {
		var wg sync.WaitGroup
		for i := range orders / 3 {
			wg.Go(func() {
				a, err := visitor.Post("/orgs/acme/machines", url.Values{
					"name": {fmt.Sprintf("m-%d-%d", round, i)}, "template": {"debian-13"}, "instance_type": {"small"}})
				if err != nil || a.Status != http.StatusSeeOther {
					t.Errorf("order: %d %v", a.Status, err)
					return
				}
				mu.Lock()
				machines = append(machines, a.Location)
				mu.Unlock()
			})
		}
		wg.Wait()
		// The instant differs by round: right after the answers, among the
		// clones, at the end of the first of them.
		<-time.After(time.Duration(round) * 500 * time.Millisecond)
		s.portal.Kill()
		visitor.Rebase(s.start())
	}
	if len(machines) != orders {
		t.Fatalf("%d orders were accepted", len(machines))
	}
	deadline := time.Now().Add(2 * time.Minute)
	for _, page := range machines {
		for {
			a, err := visitor.Get(strings.TrimPrefix(page, visitor.URL))
			if err != nil || a.Status != http.StatusOK {
				t.Fatalf("%s: %d %v", page, a.Status, err)
			}
			m := state.FindStringSubmatch(a.Body)
			if m == nil {
				t.Fatalf("%s tells no state", page)
			}
			if m[1] == "running" {
				break
			}
			if m[1] != "building" || time.Now().After(deadline) {
				t.Fatalf("%s is %s", page, m[1])
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	byUUID := map[string]int{}
	for _, m := range v.Machines(t) {
		byUUID[m.InstanceUUID]++
	}
	for _, page := range machines {
		id := page[strings.LastIndex(page, "/")+1:]
		if byUUID[id] != 1 {
			t.Errorf("vCenter holds %d machines for %s", byUUID[id], id)
		}
		delete(byUUID, id)
	}
	if len(byUUID) != 0 {
		t.Errorf("vCenter holds %d machines that nobody ordered", len(byUUID))
	}
	s.portal.Stop(20 * time.Second)
	quotaAddsUp(t, database, orders)
}

func quotaAddsUp(t *testing.T, database string, machines int64) {
	t.Helper()
	db := testkit.Open(t, database)
	orgs, err := db.System().OrgBySlug(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	err = db.System().Look(t.Context(), orgs.ID, func(r *models.Reader) error {
		quotas, err := r.Quotas()
		if err != nil {
			return err
		}
		counted, err := r.CountedQuota()
		for _, q := range quotas {
			if q.Used != counted[q.Resource] {
				t.Errorf("%s: %d used, %d counted", q.Resource, q.Used, counted[q.Resource])
			}
			if q.Resource == models.ResourceMachines && q.Used != machines {
				t.Errorf("%d machines used, want %d", q.Used, machines)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
