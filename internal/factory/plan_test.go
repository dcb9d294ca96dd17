package factory

import (
	"context"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// drawingBoard is a factory without clouds: planning needs none.
func drawingBoard(t *testing.T) (*testkit.World, *Factory, *models.Scope) {
	t.Helper()
	db := testkit.SQLite(t)
	w := testkit.NewWorld(t, db)
	q, err := jobs.New(db, jobs.Options{NodeID: "plans"})
	if err != nil {
		t.Fatal(err)
	}
	f := New(w.System, q, NewClouds(), Options{})
	t.Cleanup(f.Close)
	return w, f, w.Scope(t, "user@acme.example", "acme")
}

func TestPlanNamesFieldsThatCannotBe(t *testing.T) {
	t.Parallel()
	w, f, scope := drawingBoard(t)
	_ = w.Machine(t, "taken")
	if _, err := w.System.PutTemplate(context.Background(), models.Template{Slug: "big", Name: "Big", MinVCPUs: 2, MinMemoryMiB: 4096, MinDiskGiB: 8},
		map[models.CloudID]string{w.Public.ID: "u1", w.Private.ID: "u2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.System.PutTemplate(context.Background(), models.Template{Slug: "nowhere", Name: "Nowhere"}, nil); err != nil {
		t.Fatal(err)
	}
	good := models.Order{Name: "web", Template: "debian-13", InstanceType: "small"}
	for _, c := range []struct {
		what   string
		change func(*models.Order)
		field  string
		says   string
	}{
		{"nothing wrong", func(*models.Order) {}, "", ""},
		{"ids in place of slugs", func(o *models.Order) { o.Template, o.InstanceType = string(w.Template.ID), string(w.Small.ID) }, "", ""},
		{"spaces around", func(o *models.Order) { o.Name = " web " }, "", ""},
		{"no name", func(o *models.Order) { o.Name = "" }, "name", "Give the machine a name"},
		{"capitals", func(o *models.Order) { o.Name = "Web" }, "name", "small letters"},
		{"a digit first", func(o *models.Order) { o.Name = "1web" }, "name", "begins with a letter"},
		{"a hyphen last", func(o *models.Order) { o.Name = "web-" }, "name", "end with a hyphen"},
		{"a path", func(o *models.Order) { o.Name = "a/../b" }, "name", "letters a–z"},
		{"a long one", func(o *models.Order) { o.Name = strings.Repeat("a", 43) }, "name", "at most 42"},
		{"long with its number", func(o *models.Order) { o.Name, o.Count = strings.Repeat("a", 41), 2 }, "name", "With its number"},
		{"a taken one", func(o *models.Order) { o.Name = "taken" }, "name", "has this name"},
		{"no template", func(o *models.Order) { o.Template = "" }, "template", "Choose a template"},
		{"an unknown template", func(o *models.Order) { o.Template = "beos" }, "template", "no such template"},
		{"a template of no cloud", func(o *models.Order) { o.Template = "nowhere" }, "template", "not offered in any"},
		{"no size", func(o *models.Order) { o.InstanceType = "" }, "instance_type", "Choose a size"},
		{"an unknown size", func(o *models.Order) { o.InstanceType = "huge" }, "instance_type", "no such size"},
		{"a small size", func(o *models.Order) { o.Template = "big" }, "instance_type", "Big needs at least 2 vCPU and 4 GiB of memory"},
		{"an unknown cloud", func(o *models.Order) { o.Cloud = "moon" }, "cloud", "no such cloud"},
		{"an unknown network", func(o *models.Order) { o.Network = "dmz" }, "network", "no such network"},
		{"a foreign network", func(o *models.Order) { o.Network = string(w.GlobexNetwork.ID) }, "network", "no such network"},
		{"a network elsewhere", func(o *models.Order) { o.Network, o.Cloud = string(w.AcmeNetworks[w.Private.ID].ID), "public" }, "network", "another cloud"},
		{"too many", func(o *models.Order) { o.Count = 21 }, "count", "1 to 20"},
	} {
		o := good
		c.change(&o)
		plan, err := f.Plan(context.Background(), scope, o)
		got := models.FieldsOf(err)
		if c.field == "" {
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if len(got) != 1 || !strings.Contains(got[c.field], c.says) {
			t.Errorf("%s: %v", c.what, err)
		}
		if len(plan.Quota) == 0 {
			t.Errorf("%s: the plan tells nothing", c.what)
		}
	}
}

func TestPlanOfNothingStillTellsAll(t *testing.T) {
	t.Parallel()
	_, f, scope := drawingBoard(t)
	plan, err := f.Plan(context.Background(), scope, models.Order{})
	if got := models.FieldsOf(err); len(got) != 3 || len(plan.Placements) != 2 || len(plan.Quota) != len(models.Resources) {
		t.Errorf("%v with %d placements and %d quotas", err, len(plan.Placements), len(plan.Quota))
	}
}

func TestPlanTakesTheCheapestCloudThatCan(t *testing.T) {
	t.Parallel()
	w, f, scope := drawingBoard(t)
	ctx := context.Background()
	order := models.Order{Name: "web", Template: "debian-13", InstanceType: "small", Count: 2}
	expect := func(what string, o models.Order, cloud models.Cloud, price int64, why string) {
		t.Helper()
		plan, err := f.Plan(ctx, scope, o)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		if plan.Cloud.ID != cloud.ID || plan.Network.CloudID != cloud.ID || plan.PricePerHourMicros != price || !strings.Contains(plan.Reason, why) {
			t.Errorf("%s: %s in %s for %d: %s", what, plan.Network.Name, plan.Cloud.Name, plan.PricePerHourMicros, plan.Reason)
		}
		if len(plan.Placements) != 2 || plan.Quota[0].After != 2 || !plan.Quota[0].Fits {
			t.Errorf("%s: placements %v, quota %v", what, plan.Placements, plan.Quota)
		}
	}
	health := func(c models.Cloud, h models.CloudHealth) {
		t.Helper()
		if err := w.System.SetCloudHealth(ctx, c.ID, h); err != nil {
			t.Fatal(err)
		}
	}
	roomy := models.CloudHealth{Status: models.CloudConnected, FreeMemoryMiB: 1 << 20, FreeStorageGiB: 1 << 16}
	full := models.CloudHealth{Status: models.CloudConnected, FreeMemoryMiB: 1024, FreeStorageGiB: 1 << 16}
	down := models.CloudHealth{Status: models.CloudUnreachable}

	expect("both have room", order, w.Public, 24_000, "Public: cheapest with room for 2 GiB.")
	chosen := order
	chosen.Cloud = "private"
	expect("one is chosen", chosen, w.Private, 28_800, "Private: your choice with room for 2 GiB.")
	health(w.Public, full)
	expect("the cheaper is full", order, w.Private, 28_800, "Private: the only cloud that can take it now")
	health(w.Private, down)
	expect("the other does not answer", order, w.Private, 28_800, "does not answer just now")
	health(w.Public, roomy)
	expect("one answers", order, w.Public, 24_000, "Public: the only cloud")
	expect("the silent one is chosen", chosen, w.Private, 28_800, "goes on by itself")

	health(w.Public, full)
	health(w.Private, full)
	plan, err := f.Plan(ctx, scope, order)
	if got := models.FieldsOf(err); !strings.Contains(got["cloud"], "No cloud has room") {
		t.Errorf("both full: %v", err)
	}
	if why := plan.Placements[0].Why; plan.Placements[0].Fits || !strings.Contains(why, "only 1 GiB of memory free") {
		t.Errorf("a full cloud says %q", why)
	}
}

func TestPlanShowsTheQuotaThatIsExceeded(t *testing.T) {
	t.Parallel()
	w, f, scope := drawingBoard(t)
	if _, err := w.System.PutOrg(context.Background(), "acme", "Acme", models.Limits{
		models.ResourceMachines: 5, models.ResourceVCPUs: 4, models.ResourceMemory: 1 << 20, models.ResourceStorage: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	plan, err := f.Plan(context.Background(), scope, models.Order{Name: "web", Template: "debian-13", InstanceType: "small", Count: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range plan.Quota {
		if want := q.Resource != models.ResourceVCPUs; q.Fits != want {
			t.Errorf("%s: %d of %d fits: %v", q.Resource, q.After, q.Ceiling, q.Fits)
		}
	}
}

func TestOneNodeAtATimeFeedsACloud(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	system := db.System()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	inside, second := make(chan struct{}), make(chan error, 1)
	go func() {
		_ = system.Exclusively(ctx, "feed/x", func(ctx context.Context) error {
			close(inside)
			<-ctx.Done()
			return nil
		})
	}()
	<-inside
	turn := make(chan struct{})
	go func() {
		second <- system.Exclusively(context.Background(), "feed/x", func(context.Context) error { close(turn); return nil })
	}()
	other := false
	if err := system.Exclusively(context.Background(), "feed/y", func(context.Context) error { other = true; return nil }); err != nil || !other {
		t.Errorf("another name had to wait: %v", err)
	}
	select {
	case <-turn:
		t.Error("two had the same lock")
	default:
	}
	cancel()
	<-turn
	if err := <-second; err != nil {
		t.Error(err)
	}
}
