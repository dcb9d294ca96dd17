package models_test

import (
	"context"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// What the configuration changes is told; that it was read again is not, and
// no secret is.
func TestChangesByConfigurationAreTold(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		var seen models.EventID
		news := func() (told []models.AuditEvent) {
			t.Helper()
			o := providersView(t, w)
			for _, e := range o.Events { // newest first
				if e.Action == models.ActionConfigChange && e.ID > seen {
					told = append(told, e)
				}
			}
			if len(o.Events) > 0 {
				seen = o.Events[0].ID
			}
			return told
		}
		news()
		u, c := w.User("user@acme.example"), models.CloudLogin{Username: "portal", Password: "secret", Cloud: w.Public}
		network := w.AcmeNetworks[w.Public.ID]
		images := map[models.CloudID]string{w.Public.ID: "uuid-1"}
		put := func(what string) {
			t.Helper()
			var err error
			switch what {
			case "org":
				_, err = w.System.PutOrg(ctx, "acme", "Acme", testkit.RoomyLimits)
			case "user":
				_, err = w.System.PutUser(ctx, u)
			case "member":
				err = w.System.PutMember(ctx, w.Acme.ID, u.ID, models.RoleUser)
			case "cloud":
				_, err = w.System.PutCloud(ctx, c)
			case "network":
				_, err = w.System.PutNetwork(ctx, network)
			case "template":
				_, err = w.System.PutTemplate(ctx, w.Template, images)
			case "size":
				_, err = w.System.PutInstanceType(ctx, w.Small)
			}
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		put("template") // other images than the world's
		news()
		for _, what := range []string{"org", "user", "member", "cloud", "network", "template", "size"} {
			put(what)
			if told := news(); len(told) != 0 {
				t.Errorf("%s: applied again, and told: %+v", what, told)
			}
		}
		for what, change := range map[string]func() error{
			"quota": func() error {
				_, err := w.System.PutOrg(ctx, "acme", "Acme", models.Limits{models.ResourceMachines: 3})
				return err
			},
			"new org":  func() error { _, err := w.System.PutOrg(ctx, "initech", "Initech", nil); return err },
			"operator": func() error { u.ProviderRole = models.RoleOperator; _, err := w.System.PutUser(ctx, u); return err },
			"role":     func() error { return w.System.PutMember(ctx, w.Acme.ID, u.ID, models.RoleAdmin) },
			"address":  func() error { c.URL = "https://other.example/sdk"; _, err := w.System.PutCloud(ctx, c); return err },
			"password": func() error { c.Password = "another-secret"; _, err := w.System.PutCloud(ctx, c); return err },
			"price": func() error {
				s := w.Small
				s.PricePerHourMicros++
				_, err := w.System.PutInstanceType(ctx, s)
				return err
			},
			"image": func() error {
				_, err := w.System.PutTemplate(ctx, w.Template, map[models.CloudID]string{w.Public.ID: "uuid-2"})
				return err
			},
		} {
			if err := change(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			told := news()
			if len(told) != 1 || told[0].ObjectName == "" || told[0].Before == told[0].After {
				t.Errorf("%s: told %+v", what, told)
			}
			for _, e := range told {
				if strings.Contains(e.Before+e.After, "secret") {
					t.Errorf("%s: a secret is in the history: %s %s", what, e.Before, e.After)
				}
			}
		}
		// The org reads who became what in it.
		if err := w.System.Look(ctx, w.Acme.ID, func(r *models.Reader) error {
			page, err := r.Events(models.EventFilter{Object: string(u.ID), Action: models.ActionConfigChange})
			if err == nil && len(page.Rows) != 1 {
				t.Errorf("acme reads %+v", page.Rows)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func providersView(t *testing.T, w *testkit.World) models.Overview {
	t.Helper()
	p, err := w.System.Provider(models.SignedIn{User: w.User("operator@provider.example")})
	if err != nil {
		t.Fatal(err)
	}
	o, err := p.Overview(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return o
}
