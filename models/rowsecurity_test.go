package models_test

import (
	"context"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A query that forgets the org still sees the org's rows only: the database
// itself says so.
func TestRawQueryInOneOrgSeesNoOther(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	w := testkit.NewWorld(t, db)
	w.Machine(t, "web-1")
	ctx := context.Background()
	token := models.APIToken{Name: "deploy", Role: models.RoleUser, TokenHash: "x", ExpiresAt: models.Now().AddDate(0, 0, 1)}
	err := w.Scope(t, "user@acme.example", "acme").Change(ctx, func(tx *models.Writer) error { return tx.InsertAPIToken(&token) })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.System.BeginFactor(ctx, w.User("user@acme.example").ID, "secret"); err != nil {
		t.Fatal(err)
	}
	p, _ := operator(t, w)
	if _, err := p.AddPublicIPRange(ctx, models.PublicIPRange{Name: "r", FirstAddress: "203.0.113.1", LastAddress: "203.0.113.9"}); err != nil {
		t.Fatal(err)
	}
	execAsSystem(t, db, "UPDATE public_ips SET state = 'assigned', org_id = '"+string(w.Acme.ID)+"' WHERE address = '203.0.113.3'")
	if _, err := p.StartLook(ctx, "acme", "row security", 15); err != nil {
		t.Fatal(err)
	}
	if _, err := p.PutCatalog(ctx, models.CatalogDetail{Catalog: models.Catalog{Slug: "own", Name: "Own"}, Orgs: []models.OrgID{w.Acme.ID}}); err != nil {
		t.Fatal(err)
	}
	if err := w.System.BeatNode(ctx, models.PortalNode{ID: "n1", StartedAt: models.Now()}); err != nil {
		t.Fatal(err)
	}
	count := func(org, query string) int {
		tx, err := db.SQL().BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "SELECT set_config('millwright.org', $1, true)", org); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := tx.QueryRowContext(ctx, query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for query, want := range map[string][3]int{ // acme, globex, no org
		"SELECT COUNT(*) FROM machines":                            {1, 0, 0},
		"SELECT COUNT(*) FROM addresses":                           {1, 0, 0},
		"SELECT COUNT(*) FROM networks":                            {2, 1, 0},
		"SELECT COUNT(*) FROM orgs":                                {1, 1, 0},
		"SELECT COUNT(*) FROM users":                               {3, 2, 0},
		"SELECT COUNT(*) FROM members":                             {3, 2, 0},
		"SELECT COUNT(*) FROM sessions":                            {0, 0, 0},
		"SELECT COUNT(*) FROM cloud_secrets":                       {0, 0, 0},
		"SELECT COUNT(*) FROM api_tokens":                          {1, 0, 0},
		"SELECT COUNT(*) FROM second_factors":                      {0, 0, 0},
		"SELECT COUNT(*) FROM public_ips WHERE org_id IS NOT NULL": {1, 0, 0},
		"SELECT COUNT(*) FROM provider_looks":                      {1, 0, 0},
		"SELECT COUNT(*) FROM portal_nodes":                        {0, 0, 0},
		"SELECT COUNT(*) FROM catalogs":                            {2, 1, 1},
		"SELECT COUNT(*) FROM catalog_orgs":                        {1, 0, 0},
	} {
		got := [3]int{count(string(w.Acme.ID), query), count(string(w.Globex.ID), query), count("", query)}
		if got != want {
			t.Errorf("%s: acme, globex and nobody see %v, want %v", query, got, want)
		}
	}
	if _, err := db.SQL().ExecContext(ctx, "SELECT set_config('millwright.system', 'on', false)"); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{"UPDATE audit_events SET actor_name = 'x'", "DELETE FROM audit_events", "DROP TABLE machines", "ALTER TABLE machines DISABLE ROW LEVEL SECURITY"} {
		if _, err := db.SQL().ExecContext(ctx, change); err == nil {
			t.Errorf("%s was allowed", change)
		}
	}
}
