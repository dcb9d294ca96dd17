package factory_test

import (
	"context"
	"testing"

	"github.com/millwright/millwright/internal/factory"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// What operators do to clouds takes hold on every node that follows the
// records: here on two, each with a registry of its own.
func TestClientsFollowTheRecordsOnEveryNode(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		who := w.SignedIn(t, "operator@provider.example")
		p, err := w.System.Provider(who)
		if err != nil {
			t.Fatal(err)
		}
		nodes := []*factory.Clouds{factory.NewClouds(), factory.NewClouds()}
		follow := func() {
			for _, n := range nodes {
				err := n.Sync(ctx, w.System, func(l models.CloudLogin) *vsphere.Client {
					return vsphere.New(vsphere.Config{Slug: l.Slug, URL: l.URL, Username: l.Username, Password: l.Password})
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		follow()
		login := models.CloudLogin{Username: "portal", Password: "secret", Cloud: models.Cloud{Slug: "east", Name: "East", Class: models.CloudPrivate,
			PriceFactorPercent: 100, URL: "https://127.0.0.1:1/sdk", InstanceUUID: "one"}}
		if login.Cloud, err = p.AddCloud(ctx, login); err != nil {
			t.Fatal(err)
		}
		follow()
		first, ok := nodes[1].Client(login.ID)
		if _, other := nodes[0].Client(login.ID); !ok || !other {
			t.Fatal("an added cloud has no client")
		}
		follow()
		if again, _ := nodes[1].Client(login.ID); again != first {
			t.Error("a client was made anew without a reason")
		}
		login.Password = "another"
		if err := p.EditCloud(ctx, login); err != nil {
			t.Fatal(err)
		}
		follow()
		if second, ok := nodes[1].Client(login.ID); !ok || second == first {
			t.Error("the client doesn't know of the new password")
		}
		if _, err := first.About(ctx); vsphere.CodeOf(err) != vsphere.CodeInterrupted {
			t.Errorf("the former client is not closed: %v", err)
		}
		if err := p.MoveCloud(ctx, login.ID, models.ActionCloudDisable); err != nil {
			t.Fatal(err)
		}
		follow()
		if _, ok := nodes[0].Client(login.ID); ok {
			t.Error("a disabled cloud has a client still")
		}
		if _, ok := nodes[0].Client(w.Public.ID); !ok {
			t.Error("another cloud lost its client")
		}
	})
}
