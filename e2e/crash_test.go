package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

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
	s := testkit.NewSite(t, database, map[string]*testkit.LabVCenter{"east": v})
	visitor := s.Start()
	s.SetPassword("user@acme.example")
	visitor.SignIn(t, "user@acme.example", testkit.SitePassword)

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
		s.Portal.Kill()
		visitor.Rebase(s.Start())
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
	s.Portal.Stop(20 * time.Second)
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
