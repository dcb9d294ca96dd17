package models_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// What the sealer asks twice a second must not grow with the history: SQLite
// would rather go over all events in the order of their orgs.
func TestSealersQuestionIsAnsweredByTheNewestEvents(t *testing.T) {
	t.Parallel()
	url := testkit.SQLiteURL(t)
	statement := ""
	db, err := models.Open(context.Background(), models.Options{URL: url, Key: testkit.Key, Logger: testkit.Quiet(), Trace: func(s string) {
		if strings.Contains(s, "audit_events") {
			statement = s
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.System().UnlinkedOrgs(context.Background(), time.Now()); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite://"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	rows, err := raw.Query("EXPLAIN QUERY PLAN " + statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(plan) == 0 || strings.HasPrefix(plan[0], "SCAN") || !strings.Contains(plan[0], "(id>?)") {
		t.Errorf("%s\n%s", statement, strings.Join(plan, "\n"))
	}
}
