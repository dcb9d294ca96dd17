package models_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func addressesFrom(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s.%d", prefix, i+1)
	}
	return list
}

// atOnce runs n at the same time and returns what each said.
func atOnce(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func TestHundredAtOnceOnTenPublicIPsMakeExactlyTen(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, addressesFrom("198.51.100", 10)...)
		ctx := context.Background()
		if _, err := w.System.PutOrg(ctx, "acme", "Acme", models.Limits{models.ResourcePublicIPs: 100}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.PutOrg(ctx, "globex", "Globex", models.Limits{models.ResourcePublicIPs: 100}); err != nil {
			t.Fatal(err)
		}
		scopes := []*models.Scope{w.Scope(t, "admin@acme.example", "acme"), w.Scope(t, "admin@globex.example", "globex")}
		for _, s := range scopes { // each org's first row is not what is raced for here
			if err := w.System.EnsureGateways(ctx); err != nil {
				t.Fatal(err, s)
			}
		}
		var mu sync.Mutex
		got := map[string]int{}
		errs := atOnce(100, func(i int) error {
			return scopes[i%2].Change(ctx, func(tx *models.Writer) error {
				p, err := tx.TakePublicIP(1 << 40)
				if err == nil {
					mu.Lock()
					got[p.Address]++
					mu.Unlock()
				}
				return err
			})
		})
		done := 0
		for _, err := range errs {
			switch {
			case err == nil:
				done++
			case !errors.Is(err, models.ErrQuota):
				t.Errorf("refused with %v", err)
			}
		}
		if done != 10 || len(got) != 10 {
			t.Errorf("%d were taken, of %d addresses", done, len(got))
		}
		used := int64(0)
		for _, s := range scopes {
			_ = s.Read(ctx, func(r *models.Reader) error {
				q, err := r.Quotas()
				for _, bar := range q {
					if bar.Resource == models.ResourcePublicIPs {
						used += bar.Used
					}
				}
				return err
			})
		}
		if used != 10 {
			t.Errorf("quotas count %d", used)
		}
	})
}

func TestPublicIPQuotaIsNeverPassed(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, addressesFrom("198.51.100", 60)...)
		ctx := context.Background()
		if err := w.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		acme := w.Scope(t, "admin@acme.example", "acme") // has room for 10
		done := 0
		for _, err := range atOnce(50, func(int) error {
			return acme.Change(ctx, func(tx *models.Writer) error {
				_, err := tx.TakePublicIP(1 << 40)
				return err
			})
		}) {
			if err == nil {
				done++
			} else if !errors.Is(err, models.ErrQuota) {
				t.Error(err)
			}
		}
		if done != 10 {
			t.Errorf("%d were taken", done)
		}
	})
}

func TestPriceHasToBeAcceptedAsItIs(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1")
		err := w.Scope(t, "admin@acme.example", "acme").Change(context.Background(), func(tx *models.Writer) error {
			_, err := tx.TakePublicIP(3999)
			return err
		})
		if !errors.Is(err, models.ErrConflict) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPublicIPRestsBeforeAnotherOrgGetsIt(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1")
		ctx := context.Background()
		edge, err := w.System.LocalEdge(ctx, "lab")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.System.EnsureGateways(ctx); err != nil {
			t.Fatal(err)
		}
		p := takeIP(t, w, "acme")
		s := makeService(t, w, "web", p, 80)
		acme, globex := w.Scope(t, "admin@acme.example", "acme"), w.Scope(t, "admin@globex.example", "globex")
		release := func(s *models.Scope) error {
			return s.Change(ctx, func(tx *models.Writer) error { return tx.ReleasePublicIP(p.ID) })
		}
		take := func() error {
			return globex.Change(ctx, func(tx *models.Writer) error {
				_, err := tx.TakePublicIP(1 << 40)
				return err
			})
		}
		if err := release(globex); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a stranger released it: %v", err)
		}
		if err := release(acme); !errors.Is(err, models.ErrConflict) || !strings.Contains(err.Error(), "the service web") {
			t.Errorf("released in use: %v", err)
		}
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.DeleteService(s.ID) }); err != nil {
			t.Fatal(err)
		}
		if err := release(acme); !errors.Is(err, models.ErrConflict) || !strings.Contains(err.Error(), "what the machines send out") {
			t.Errorf("released under what the machines send: %v", err)
		}
		if err := acme.Change(ctx, func(tx *models.Writer) error { return tx.StopOutbound() }); err != nil {
			t.Fatal(err)
		}
		before := generation(t, w, w.Acme.ID)
		if err := release(acme); err != nil {
			t.Fatal(err)
		}
		if err := release(acme); !errors.Is(err, models.ErrConflict) {
			t.Errorf("released twice: %v", err)
		}
		// The gateway knows nothing of it yet.
		if err := edge.Report(ctx, models.EdgeReport{Orgs: []models.OrgReport{{Org: w.Acme.ID, Observed: before, Applied: before}}}, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := take(); !errors.Is(err, models.ErrQuota) {
			t.Errorf("taken while releasing: %v", err)
		}
		if err := edge.Report(ctx, models.EdgeReport{Orgs: []models.OrgReport{{Org: w.Acme.ID, Observed: before, Applied: before, Released: []string{p.Address}}}}, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := acme.Read(ctx, func(r *models.Reader) error {
			_, err := r.PublicIP(p.ID)
			return err
		}); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("still acme's: %v", err)
		}
		if err := w.System.EndQuarantines(ctx); err != nil {
			t.Fatal(err)
		}
		if err := take(); !errors.Is(err, models.ErrQuota) {
			t.Errorf("taken out of quarantine: %v", err)
		}
		if _, err := db.SQL().ExecContext(ctx, timePasses(db), models.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := w.System.EndQuarantines(ctx); err != nil {
			t.Fatal(err)
		}
		if err := take(); err != nil {
			t.Errorf("after the quarantine: %v", err)
		}
	})
}

// timePasses is the statement that lets time pass.
func timePasses(db *models.DB) string {
	if db.Kind() == models.PostgreSQL {
		return "WITH s AS MATERIALIZED (SELECT set_config('millwright.system', 'on', false)) UPDATE public_ips SET quarantine_until = $1 FROM s"
	}
	return "UPDATE public_ips SET quarantine_until = $1"
}

func TestSamePortIsRefusedWhoeverWantsIt(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		offer(t, w, "198.51.100.1", "198.51.100.2")
		ctx := context.Background()
		p := takeIP(t, w, "acme")
		if err := w.System.PutReservedPorts(ctx, []models.ReservedPort{{L4: "udp", Port: 51820, ForVPN: true}, {L4: "tcp", Port: 9100}}); err != nil {
			t.Fatal(err)
		}
		acme := w.Scope(t, "admin@acme.example", "acme")
		try := func(name string, protocol models.ServiceProtocol, port int) error {
			s := webService(name)
			s.Protocol = protocol
			return acme.Change(ctx, func(tx *models.Writer) error {
				return tx.CreateService(&s, models.ServiceEndpoint{PublicIPID: p.ID, Port: port})
			})
		}
		if err := try("web", models.ServiceHTTP, 80); err != nil {
			t.Fatal(err)
		}
		if err := try("other", models.ServiceTCP, 80); !strings.Contains(models.FieldsOf(err)["port"], "the service web") {
			t.Errorf("HTTP counts as TCP: %v", err)
		}
		if err := try("dns", models.ServiceUDP, 80); err != nil {
			t.Errorf("UDP is apart: %v", err)
		}
		for _, c := range []struct {
			protocol models.ServiceProtocol
			port     int
		}{{models.ServiceUDP, 51820}, {models.ServiceTCP, 9100}} {
			if err := try("reserved", c.protocol, c.port); models.FieldsOf(err)["port"] == "" {
				t.Errorf("%s %d: %v", c.protocol, c.port, err)
			}
		}
		if err := acme.Change(ctx, func(tx *models.Writer) error { _, err := tx.CreateVPN(p.ID, "pub", "priv"); return err }); err != nil {
			t.Fatalf("VPN: %v", err)
		}
		if err := acme.Change(ctx, func(tx *models.Writer) error { _, err := tx.CreateVPN(p.ID, "pub", "priv"); return err }); !errors.Is(err, models.ErrConflict) {
			t.Errorf("second VPN: %v", err)
		}
		// Another org's address is none of ours.
		q := takeIP(t, w, "globex")
		s := webService("stolen")
		err := acme.Change(ctx, func(tx *models.Writer) error {
			return tx.CreateService(&s, models.ServiceEndpoint{PublicIPID: q.ID, Port: 81})
		})
		if models.FieldsOf(err)["public_ip"] == "" {
			t.Errorf("another org's address: %v", err)
		}
		// At once: one gets it.
		done := 0
		for _, err := range atOnce(20, func(i int) error { return try(fmt.Sprintf("race-%d", i), models.ServiceTCP, 443) }) {
			if err == nil {
				done++
			} else if models.FieldsOf(err)["port"] == "" {
				t.Errorf("lost with %v", err)
			}
		}
		if done != 1 {
			t.Errorf("%d have port 443", done)
		}
	})
}
