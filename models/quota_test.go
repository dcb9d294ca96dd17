package models_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestHundredAtOnceOnQuotaOfTenMakeTen(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		limits := models.Limits{models.ResourceMachines: 10, models.ResourceVCPUs: 1000, models.ResourceMemory: 1 << 20}
		if _, err := w.System.PutOrg(ctx, "acme", "Acme", limits); err != nil {
			t.Fatal(err)
		}
		s := w.Scope(t, "user@acme.example", "acme")
		var wg sync.WaitGroup
		results := make(chan error, 100)
		for range 100 {
			wg.Go(func() {
				results <- s.Change(ctx, func(tx *models.Writer) error {
					if err := tx.TakeQuota(models.Amounts{models.ResourceMachines: 1, models.ResourceVCPUs: 2}); err != nil {
						return err
					}
					return tx.Record(models.Event{Action: models.ActionMachineCreate, Outcome: models.OutcomeAccepted})
				})
			})
		}
		wg.Wait()
		close(results)
		taken := 0
		for err := range results {
			switch {
			case err == nil:
				taken++
			case !errors.Is(err, models.ErrQuota):
				t.Errorf("neither taken nor refused: %v", err)
			}
		}
		if taken != 10 {
			t.Errorf("%d were taken", taken)
		}
		_ = s.Read(ctx, func(r *models.Reader) error {
			quotas, err := r.Quotas()
			if err != nil {
				t.Error(err)
			}
			for _, q := range quotas {
				if want := map[models.Resource]int64{models.ResourceMachines: 10, models.ResourceVCPUs: 20}[q.Resource]; q.Used != want {
					t.Errorf("%s: %d used, want %d", q.Resource, q.Used, want)
				}
			}
			return nil
		})
	})
}

// A hundred consoles opened at once, of ten machines and by two people, on a
// quota of ten: ten are open, and whoever comes too late is told what to do.
func TestHundredConsolesAtOnceOnQuotaOfTenOpenTen(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		if _, err := w.System.PutOrg(ctx, "acme", "Acme", models.Limits{models.ResourceMachines: 20, models.ResourceConsoles: 10}); err != nil {
			t.Fatal(err)
		}
		var machines []models.Machine
		for i := range 10 {
			machines = append(machines, w.Machine(t, fmt.Sprintf("web-%d", i)))
		}
		people := []models.SignedIn{w.SignedIn(t, "user@acme.example"), w.SignedIn(t, "admin@acme.example")}
		open := func(i int) (models.ConsoleSession, error) {
			m, who := machines[i%len(machines)], people[i/len(machines)%len(people)]
			return w.System.OpenConsole(ctx, models.ConsoleGrant{Machine: m, Role: models.RoleUser, Actor: who.Actor, Ticket: models.ConsoleTicket{
				OrgID: m.OrgID, MachineID: m.ID, UserID: who.User.ID, SessionID: who.Session.ID, Mode: models.ConsoleView}}, fmt.Sprintf("node-%d", i%2), models.ConsoleLimits{})
		}
		var wg sync.WaitGroup
		opened, refused := make(chan models.ConsoleSession, 100), make(chan error, 100)
		for i := range 100 {
			wg.Go(func() {
				if c, err := open(i); err == nil {
					opened <- c
				} else {
					refused <- err
				}
			})
		}
		wg.Wait()
		close(opened)
		close(refused)
		if len(opened) != 10 || len(refused) != 90 {
			t.Errorf("%d were opened and %d refused", len(opened), len(refused))
		}
		for err := range refused {
			if !errors.Is(err, models.ErrQuota) || !strings.Contains(err.Error(), "10 of the 10 consoles that the org may have open are open. Close one, then try again.") {
				t.Errorf("not a clear refusal: %v", err)
			}
		}
		used := func() (n int64) {
			t.Helper()
			err := w.Scope(t, "auditor@acme.example", "acme").Read(ctx, func(r *models.Reader) error {
				quotas, err := r.Quotas()
				for _, q := range quotas {
					if q.Resource == models.ResourceConsoles {
						n = q.Used
					}
				}
				if err != nil {
					return err
				}
				list, err := r.OpenConsoles(models.ConsoleFilter{})
				if int64(len(list.Rows)) != n {
					t.Errorf("%d are listed, and the quota says %d", len(list.Rows), n)
				}
				told, failed := r.Events(models.EventFilter{Action: models.ActionConsoleOpen, Page: models.Paging{Limit: 100}})
				if len(told.Rows) != 10 {
					t.Errorf("the history tells of %d", len(told.Rows))
				}
				return errors.Join(err, failed)
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := used(); n != 10 {
			t.Errorf("%d are used", n)
		}
		// One that is closed makes room for one.
		first := <-opened
		first.OrgID = w.Acme.ID
		if err := w.System.CloseConsole(ctx, first, people[0].Actor, machines[0].Object(), "left", 0, 0); err != nil {
			t.Fatal(err)
		}
		if n := used(); n != 9 {
			t.Errorf("%d are used after one was closed", n)
		}
		if _, err := open(0); err != nil {
			t.Errorf("there was room: %v", err)
		}
		if _, err := open(1); !errors.Is(err, models.ErrQuota) {
			t.Errorf("there was no room: %v", err)
		}
	})
}

func TestAddressesAreTakenOnceAndReused(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		n, err := w.System.PutNetwork(ctx, models.Network{OrgID: w.Acme.ID, CloudID: w.Public.ID, Name: "tiny", CIDR: "10.9.0.0/28", Gateway: "10.9.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		first := w.Machine(t, "m-0")
		seen := map[string]bool{}
		take := func() (string, error) {
			var address string
			err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) (err error) {
				_, address, err = tx.TakeAddress(n.ID, first.ID)
				return err
			})
			return address, err
		}
		for range 13 { // .2 to .14 of a /28; .1 is the gateway, .15 broadcast
			a, err := take()
			if err != nil || seen[a] {
				t.Fatalf("address %q: %v", a, err)
			}
			seen[a] = true
		}
		if _, err := take(); !errors.Is(err, models.ErrQuota) {
			t.Fatalf("fourteenth address: %v", err)
		}
		if err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error { return tx.ReleaseMachine(first.ID) }); err != nil {
			t.Fatal(err)
		}
		if a, err := take(); err != nil || !seen[a] {
			t.Fatalf("after release: %q %v", a, err)
		}
	})
}

func TestReleaseGivesBackOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m, other := w.Machine(t, "web-1"), w.Machine(t, "web-2")
		ctx := context.Background()
		for range 3 {
			if err := w.System.Within(ctx, w.Acme.ID, models.SystemActor, func(tx *models.Writer) error { return tx.ReleaseMachine(m.ID) }); err != nil {
				t.Fatal(err)
			}
		}
		err := w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
			quotas, err := r.Quotas()
			if err != nil {
				return err
			}
			counted, err := r.CountedQuota()
			for _, q := range quotas {
				if q.Used != counted[q.Resource] || q.Used != other.Amounts()[q.Resource] {
					t.Errorf("%s: %d used, %d counted", q.Resource, q.Used, counted[q.Resource])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// What the configuration leaves out it says nothing of, at whichever start.
func TestLimitThatIsLeftOutStays(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		limits := func(slug string) models.Limits {
			t.Helper()
			p, _ := operator(t, w)
			d, err := p.Org(ctx, slug)
			if err != nil {
				t.Fatal(err)
			}
			list := models.Limits{}
			for _, q := range d.Quotas {
				list[q.Resource] = q.Ceiling
			}
			return list
		}
		was := limits("acme")
		for range 2 {
			if _, err := w.System.PutOrg(ctx, "acme", "Acme", models.Limits{models.ResourceVCPUs: 77}); err != nil {
				t.Fatal(err)
			}
		}
		for res, n := range limits("acme") {
			if want := map[bool]int64{true: 77, false: was[res]}[res == models.ResourceVCPUs]; n != want {
				t.Errorf("%s is %d, want %d", res, n, want)
			}
		}
		if _, err := w.System.PutOrg(ctx, "initech", "Initech", models.Limits{models.ResourceMachines: 2}); err != nil {
			t.Fatal(err)
		}
		if got := limits("initech"); got[models.ResourceMachines] != 2 || got[models.ResourceTasks] != models.UsualTasks || got[models.ResourceVCPUs] != 0 || len(got) != len(models.Resources) {
			t.Errorf("a new org has %v", got)
		}
	})
}
