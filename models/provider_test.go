package models_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func operator(t *testing.T, w *testkit.World) (*models.Provider, models.SignedIn) {
	t.Helper()
	who := w.SignedIn(t, "operator@provider.example")
	p, err := w.System.Provider(who)
	if err != nil {
		t.Fatal(err)
	}
	return p, who
}

func auditorOfProvider(t *testing.T, w *testkit.World) *models.Provider {
	t.Helper()
	u, err := w.System.PutUser(context.Background(), models.User{Email: "auditor@provider.example", Name: "Pat", ProviderRole: models.RoleProviderAuditor})
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.System.Provider(models.SignedIn{User: u, Actor: models.Actor{Kind: models.ActorUser, ID: string(u.ID), Name: u.Name}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// at runs n at the same moment and counts those that went through.
func at(n int, do func(i int) error) (through int, other []error) {
	var wg sync.WaitGroup
	var ok atomic.Int32
	var mu sync.Mutex
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			err := do(i)
			if err == nil {
				ok.Add(1)
				return
			}
			mu.Lock()
			other = append(other, err)
			mu.Unlock()
		})
	}
	close(begin)
	wg.Wait()
	return int(ok.Load()), other
}

func TestOverlappingRangesAreRefusedWhoeverIsFirst(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, _ := operator(t, w)
		ctx := context.Background()
		through, refused := at(10, func(i int) error {
			_, err := p.AddVLANRange(ctx, models.VLANRange{CloudID: w.Public.ID, FirstVLAN: 100 + i, LastVLAN: 200 + i})
			return err
		})
		if through != 1 {
			t.Errorf("%d overlapping VLAN ranges were taken", through)
		}
		for _, err := range refused {
			if !errors.Is(err, models.ErrInvalid) {
				t.Errorf("VLANs: %v", err)
			}
		}
		if _, err := p.AddVLANRange(ctx, models.VLANRange{CloudID: w.Private.ID, FirstVLAN: 100, LastVLAN: 200}); err != nil {
			t.Errorf("the same VLANs in another cloud: %v", err)
		}
		through, refused = at(10, func(i int) error {
			_, err := p.AddPublicIPRange(ctx, models.PublicIPRange{Name: fmt.Sprint("r", i), FirstAddress: fmt.Sprintf("203.0.113.%d", 10+i), LastAddress: "203.0.113.40"})
			return err
		})
		if through != 1 {
			t.Errorf("%d overlapping ranges of addresses were taken", through)
		}
		for _, err := range refused {
			if !errors.Is(err, models.ErrInvalid) && !errors.Is(err, models.ErrConflict) { // PostgreSQL may give one up as a deadlock
				t.Errorf("addresses: %v", err)
			}
		}
		list, err := p.PublicIPRanges(ctx)
		if err != nil || len(list) != 1 || list[0].Free != list[0].Addresses || list[0].Addresses < 22 {
			t.Errorf("ranges %+v: %v", list, err)
		}
		for _, r := range []models.PublicIPRange{
			{Name: "x", FirstAddress: "10.0.0.9", LastAddress: "10.0.0.1"}, {Name: "x", FirstAddress: "10.0.0.0", LastAddress: "10.0.255.255"},
			{Name: "x", FirstAddress: "nonsense", LastAddress: "10.0.0.1"}, {Name: "x", FirstAddress: "10.0.0.1", LastAddress: "2001:db8::1"},
			{Name: "x", FirstAddress: "2001:db8::1", LastAddress: "2001:db8::1"}, {Name: "x", FirstAddress: "169.254.169.254", LastAddress: "169.254.169.254"},
			{Name: "x", FirstAddress: "0.0.0.1", LastAddress: "0.0.0.1"}, {Name: "x", FirstAddress: "127.0.0.1", LastAddress: "127.0.0.1"},
			{Name: "x", FirstAddress: "223.255.255.250", LastAddress: "224.0.0.1"}, {Name: "x", FirstAddress: "255.255.255.255", LastAddress: "255.255.255.255"},
		} {
			if _, err := p.AddPublicIPRange(ctx, r); !errors.Is(err, models.ErrInvalid) {
				t.Errorf("%s–%s: %v", r.FirstAddress, r.LastAddress, err)
			}
		}
		if _, err := w.System.LocalEdge(ctx, "lab"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.AddPublicIPRange(ctx, models.PublicIPRange{Name: "the lab's", FirstAddress: "127.0.50.1", LastAddress: "127.0.50.2"}); err != nil {
			t.Errorf("the lab's range: %v", err)
		}
	})
}

func TestQuotaNeverGoesBelowWhatIsUsed(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, _ := operator(t, w)
		ctx := context.Background()
		w.Machine(t, "web-1")
		w.Machine(t, "web-2")
		err := p.EditOrg(ctx, "acme", "Acme", models.Limits{models.ResourceMachines: 1})
		if !errors.Is(err, models.ErrInvalid) || !strings.Contains(models.FieldsOf(err)["quota_machines"], "2 machines are used") {
			t.Fatalf("below what is used: %v", err)
		}
		// Orders and a lower limit at the same moment: never more than allowed.
		scope := w.Scope(t, "user@acme.example", "acme")
		at(20, func(i int) error {
			if i%2 == 0 {
				return p.EditOrg(ctx, "acme", "Acme", models.Limits{models.ResourceMachines: 5})
			}
			return scope.Change(ctx, func(tx *models.Writer) error {
				if err := tx.TakeQuota(models.Amounts{models.ResourceMachines: 1}); err != nil {
					return err
				}
				return tx.Record(models.Event{Action: models.ActionMachineCreate, Outcome: models.OutcomeSucceeded})
			})
		})
		org, err := p.Org(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range org.Quotas {
			if q.Used > q.Ceiling {
				t.Errorf("%s: %d of %d", q.Resource, q.Used, q.Ceiling)
			}
		}
		// What the operator set is not undone by the configuration file.
		if err := p.EditOrg(ctx, "globex", "Globex & Co", models.Limits{models.ResourceMachines: 7}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.PutOrg(ctx, "globex", "Globex", testkit.RoomyLimits); err != nil {
			t.Fatal(err)
		}
		if org, err = p.Org(ctx, "globex"); err != nil || org.Org.Name != "Globex & Co" || org.Quotas[0].Ceiling != 7 {
			t.Errorf("after the file was applied again: %+v, %v", org.OrgSummary, err)
		}
	})
}

func TestWhatAnOperatorChangedTheFileLeavesAlone(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, _ := operator(t, w)
		ctx := context.Background()
		small := w.Small
		small.PricePerHourMicros = 99_000
		c := w.Public
		c.PriceFactorPercent = 250
		for name, err := range map[string]error{
			"price": p.EditInstanceType(ctx, small), "cloud": p.EditCloudSettings(ctx, c),
			"retire": p.RetireTemplate(ctx, w.Template.ID, true),
		} {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		m := w.Machine(t, "web-1")
		if _, err := w.System.PutInstanceType(ctx, w.Small); err != nil {
			t.Fatal(err)
		}
		if _, err := w.System.PutTemplate(ctx, w.Template, map[models.CloudID]string{w.Public.ID: "x"}); err != nil {
			t.Fatal(err)
		}
		put := models.CloudLogin{Cloud: w.Public, Username: "portal", Password: "other"}
		if kept, err := w.System.PutCloud(ctx, put); err != nil || kept.PriceFactorPercent != 250 {
			t.Errorf("cloud %+v: %v", kept, err)
		}
		d, err := p.InstanceType(ctx, w.Small.ID)
		if err != nil || d.PricePerHourMicros != 99_000 || d.Machines != 1 {
			t.Errorf("size %+v: %v", d, err)
		}
		if tpl, err := p.Template(ctx, w.Template.ID); err != nil || tpl.RetiredAt == nil {
			t.Errorf("template %+v: %v", tpl, err)
		}
		if m.PricePerHourMicros != 12_000 {
			t.Errorf("the machine's price became %d", m.PricePerHourMicros)
		}
		told, err := p.RecentChanges(ctx, string(w.Small.ID))
		if err != nil || len(told) == 0 || !strings.Contains(told[0].Before, "12000") || !strings.Contains(told[0].After, "99000") || told[0].ActorName != "Operator of provider" {
			t.Errorf("history %+v: %v", told, err)
		}
	})
}

func TestOrgSeesTheTemplatesOfItsCatalogsOnly(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, _ := operator(t, w)
		ctx := context.Background()
		seen := func(email, org string) (listed int, offered error) {
			err := w.Scope(t, email, org).Read(ctx, func(r *models.Reader) error {
				list, err := r.Templates("")
				listed = len(list)
				_, offered = r.OfferedTemplate(w.Template.Slug)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return listed, offered
		}
		if n, err := seen("user@globex.example", "globex"); n != 1 || err != nil {
			t.Fatalf("by default %d: %v", n, err)
		}
		all, err := p.Catalogs(ctx)
		if err != nil || len(all) != 1 || all[0].Slug != "default" {
			t.Fatalf("catalogs %+v: %v", all, err)
		}
		all[0].Public, all[0].Orgs = false, []models.OrgID{w.Acme.ID}
		if _, err := p.PutCatalog(ctx, all[0]); err != nil {
			t.Fatal(err)
		}
		if n, err := seen("user@acme.example", "acme"); n != 1 || err != nil {
			t.Errorf("acme sees %d: %v", n, err)
		}
		if n, err := seen("user@globex.example", "globex"); n != 0 || !errors.Is(err, models.ErrNotFound) {
			t.Errorf("globex sees %d: %v", n, err)
		}
		if err := p.RetireTemplate(ctx, w.Template.ID, true); err != nil {
			t.Fatal(err)
		}
		if n, err := seen("user@acme.example", "acme"); n != 0 || !errors.Is(err, models.ErrNotFound) {
			t.Errorf("retired, acme sees %d: %v", n, err)
		}
	})
}

func TestProviderAuditorChangesNothing(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p := auditorOfProvider(t, w)
		ctx := context.Background()
		_, addOrg := p.AddOrg(ctx, "initech", "Initech", models.Limits{}, nil)
		_, addVLAN := p.AddVLANRange(ctx, models.VLANRange{CloudID: w.Public.ID, FirstVLAN: 1, LastVLAN: 2})
		_, password := p.CloudPassword(ctx, w.Public.ID, w.Public.URL, w.Public.ThumbprintSHA256)
		for name, err := range map[string]error{
			"org": addOrg, "vlan": addVLAN, "password": password, "quota": p.EditOrg(ctx, "acme", "A", models.Limits{}),
			"suspend": p.SuspendOrg(ctx, "acme", true), "disable": p.MoveCloud(ctx, w.Public.ID, models.ActionCloudDisable),
			"retire": p.RetireTemplate(ctx, w.Template.ID, true), "price": p.EditInstanceType(ctx, w.Small),
		} {
			if !errors.Is(err, models.ErrForbidden) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, err := p.Orgs(ctx); err != nil || len(list) != 2 {
			t.Errorf("reads %d orgs: %v", len(list), err)
		}
	})
}

func TestDisabledCloudGetsNoCallsAndKeepsItsFigures(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		p, _ := operator(t, w)
		ctx := context.Background()
		if err := p.MoveCloud(ctx, w.Public.ID, models.ActionCloudDisable); err != nil {
			t.Fatal(err)
		}
		// A feed that is just ending has the last word in vain.
		if err := w.System.SetCloudHealth(ctx, w.Public.ID, models.CloudHealth{Status: models.CloudConnected, Hosts: 99}); err != nil {
			t.Fatal(err)
		}
		d, err := p.Cloud(ctx, w.Public.ID)
		if err != nil || d.Status != models.CloudDisabled || d.Hosts != 4 || d.SeenAt == nil {
			t.Errorf("cloud %+v: %v", d.Cloud, err)
		}
		logins, err := w.System.CloudLogins(ctx)
		if err != nil || len(logins) != 1 || logins[0].ID != w.Private.ID {
			t.Errorf("%d clouds are connected: %v", len(logins), err)
		}
		if err := p.MoveCloud(ctx, w.Public.ID, models.ActionCloudEnable); err != nil {
			t.Fatal(err)
		}
		if logins, err = w.System.CloudLogins(ctx); err != nil || len(logins) != 2 {
			t.Errorf("enabled again: %d, %v", len(logins), err)
		}
	})
}
