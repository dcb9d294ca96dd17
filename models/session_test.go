package models_test

import (
	"context"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestOperatorsSignInIsInTheProvidersHistory(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		ctx := context.Background()
		u := w.User("operator@provider.example")
		if err := w.System.PutMember(ctx, w.Acme.ID, u.ID, models.RoleAdmin); err != nil {
			t.Fatal(err)
		}
		who := w.SignedIn(t, u.Email)
		p, err := w.System.Provider(who)
		if err != nil {
			t.Fatal(err)
		}
		o, err := p.Overview(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range o.Events {
			if e.Action == models.ActionSignIn && e.ActorID == string(u.ID) {
				return
			}
		}
		t.Errorf("the provider's history: %+v", o.Events)
	})
}
