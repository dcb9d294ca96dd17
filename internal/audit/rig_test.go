package audit_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// rig is a world whose history is sealed and signed, and its database's owner.
type rig struct {
	*testkit.World
	t       *testing.T
	service *audit.Service
	key     *audit.Key
	file    string // checkpoints outside
	owner   *sql.DB
	auditor *models.Scope
}

// onBoth runs the test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		db := testkit.SQLite(t)
		test(t, newRig(t, db, db.SQL()))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := testkit.PostgresURL(t)
		owner, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = owner.Close() })
		test(t, newRig(t, testkit.Open(t, url), owner))
	})
}

func newRig(t *testing.T, db *models.DB, owner *sql.DB) *rig {
	t.Helper()
	r := &rig{World: testkit.NewWorld(t, db), t: t, owner: owner, file: filepath.Join(t.TempDir(), "checkpoints.jsonl")}
	var err error
	if r.key, err = audit.ReadOrMakeKey(filepath.Join(t.TempDir(), "checkpoint.key")); err != nil {
		t.Fatal(err)
	}
	r.service = r.newService()
	r.auditor = r.Scope(t, "auditor@acme.example", "acme")
	return r
}

// newService is what a node that starts now would have.
func (r *rig) newService() *audit.Service {
	r.t.Helper()
	outside, err := audit.OpenOutside(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	return audit.New(r.System, audit.Options{Key: r.key, Outside: outside, Logger: testkit.Quiet()})
}

func (r *rig) record(n int) {
	r.t.Helper()
	for i := range n {
		err := r.System.RecordIn(r.t.Context(), r.Acme.ID, r.auditor.Actor(), event(fmt.Sprintf("machine-%d", i)))
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func event(name string) models.Event {
	return models.Event{Action: models.ActionMachinePower, Outcome: models.OutcomeSucceeded,
		Object: models.Object{Kind: "machine", ID: models.NewID[string](), Name: name},
		Before: map[string]any{"state": "stopped <b>"}, After: map[string]any{"state": "läuft", "n": 1.5}}
}

func (r *rig) seal() {
	r.t.Helper()
	if err := r.service.Seal(r.t.Context(), r.Acme.ID); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) sign() models.AuditCheckpoint {
	r.t.Helper()
	c, err := r.service.Checkpoint(r.t.Context(), r.Acme.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) verify() audit.Report {
	r.t.Helper()
	report, err := r.service.Verify(r.t.Context(), r.auditor)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

func (r *rig) export(f models.EventFilter, format audit.Format) string {
	r.t.Helper()
	e, err := r.service.Export(r.t.Context(), r.auditor, f, format)
	if err != nil {
		r.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.Stream(r.t.Context(), &b); err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

func (r *rig) verifyExport(text string) audit.Report {
	r.t.Helper()
	report, err := audit.VerifyExport(strings.NewReader(text), r.key.Public(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// asOwner changes the database as nobody else can: triggers dropped, grants
// of no concern. $ORG, $EVENT(n), $HASH(n) stand for acme's.
func (r *rig) asOwner(statements ...string) {
	r.t.Helper()
	if r.DB.Kind() == models.SQLite {
		for _, trigger := range []string{"event_never_changed", "event_never_deleted", "link_never_changed", "link_never_deleted",
			"checkpoint_never_changed", "checkpoint_never_deleted"} {
			r.exec("DROP TRIGGER IF EXISTS audit_" + trigger)
		}
	}
	for _, s := range statements {
		r.exec(strings.ReplaceAll(s, "$ORG", "'"+string(r.Acme.ID)+"'"))
	}
}

func (r *rig) exec(statement string) {
	r.t.Helper()
	if _, err := r.owner.ExecContext(context.Background(), statement); err != nil {
		r.t.Fatalf("%s: %v", statement, err)
	}
}

type link struct {
	sequence       int64
	event          models.EventID
	body, previous string
}

// links reads acme's chain.
func (r *rig) links() []link {
	r.t.Helper()
	rows, err := r.owner.QueryContext(context.Background(), strings.ReplaceAll(`SELECT l.sequence, l.event_id, e.body, l.previous_hash
		FROM audit_links l JOIN audit_events e ON e.id = l.event_id WHERE l.org_id = $ORG ORDER BY l.sequence`, "$ORG", "'"+string(r.Acme.ID)+"'"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	var list []link
	for rows.Next() {
		var l link
		if err := rows.Scan(&l.sequence, &l.event, &l.body, &l.previous); err != nil {
			r.t.Fatal(err)
		}
		list = append(list, l)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// rehash makes the whole chain anew, as its owner can.
func (r *rig) rehash() {
	r.t.Helper()
	previous := strings.Repeat("0", 64)
	for i, l := range r.links() {
		hash := audit.Hash(previous, r.Acme.ID, int64(i+1), l.event, l.body)
		r.asOwner(fmt.Sprintf("UPDATE audit_links SET sequence = %d, previous_hash = '%s', hash = '%s' WHERE event_id = '%s'", i+1, previous, hash, l.event))
		previous = hash
	}
}
