package audit_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/models"
)

const acmeEvent = "id = (SELECT event_id FROM audit_links WHERE org_id = $ORG AND sequence = %d)"

func at(n int) string { return fmt.Sprintf(acmeEvent, n) }

// copied inserts a copy of an event under another id.
func copied(n int, id, when string) string {
	return `INSERT INTO audit_events SELECT '` + id + `', org_id, ` + when + `, actor_kind, actor_id, actor_name, session_id, source, action,
		object_kind, object_id, object_name, outcome, before, after, request_id, replace(body, id, '` + id + `') FROM audit_events WHERE ` + at(n)
}

// shift makes room for a link at a place: over negative numbers, for the key
// is checked row by row.
func shift(from, by int) []string {
	return []string{
		fmt.Sprintf("UPDATE audit_links SET sequence = sequence + 100000 WHERE org_id = $ORG AND sequence >= %d", from),
		fmt.Sprintf("UPDATE audit_links SET sequence = sequence - 100000 + (%d) WHERE org_id = $ORG AND sequence >= 100000", by),
	}
}

func swap(column string, a, b int) []string {
	set := func(to, from string) string {
		return fmt.Sprintf("UPDATE audit_links SET %s = %s WHERE org_id = $ORG AND %s", column, to, from)
	}
	if column == "sequence" {
		return []string{set("99999", fmt.Sprintf("sequence = %d", a)), set(strconv.Itoa(a), fmt.Sprintf("sequence = %d", b)), set(strconv.Itoa(b), "sequence = 99999")}
	}
	return []string{
		"CREATE TABLE kept AS SELECT sequence, event_id FROM audit_links WHERE org_id = $ORG",
		set("'x'", fmt.Sprintf("sequence = %d", a)),
		set(fmt.Sprintf("(SELECT event_id FROM kept WHERE sequence = %d)", a), fmt.Sprintf("sequence = %d", b)),
		set(fmt.Sprintf("(SELECT event_id FROM kept WHERE sequence = %d)", b), fmt.Sprintf("sequence = %d", a)),
	}
}

const forgedID = "01900000-0000-7000-8000-000000000001"

var tamperings = []struct {
	name     string
	as       []string
	kind     audit.FaultKind
	sequence int64
}{
	{"body changed", []string{"UPDATE audit_events SET body = replace(body, 'stopped', 'running') WHERE " + at(5)}, audit.Changed, 5},
	{"shown column changed", []string{"UPDATE audit_events SET actor_name = 'Somebody else' WHERE " + at(5)}, audit.Changed, 5},
	{"time changed", []string{"UPDATE audit_events SET at = '2020-01-01 00:00:00' WHERE " + at(5)}, audit.Changed, 5},
	{"column and body changed", []string{"UPDATE audit_events SET object_name = 'x', body = replace(body, object_name, 'x') WHERE " + at(5)}, audit.Changed, 5},
	{"moved to another org", []string{"UPDATE audit_events SET org_id = 'provider' WHERE " + at(5)}, audit.Removed, 5},
	{"hash changed", []string{"UPDATE audit_links SET hash = 'x' WHERE org_id = $ORG AND sequence = 5"}, audit.Changed, 5},
	{"previous hash changed", []string{"UPDATE audit_links SET previous_hash = 'x' WHERE org_id = $ORG AND sequence = 5"}, audit.Changed, 5},
	{"event removed", []string{"DELETE FROM audit_events WHERE " + at(5)}, audit.Removed, 5},
	{"link removed", []string{"DELETE FROM audit_links WHERE org_id = $ORG AND sequence = 5"}, audit.Removed, 5},
	{"event and link removed", []string{"DELETE FROM audit_events WHERE " + at(5), "DELETE FROM audit_links WHERE org_id = $ORG AND sequence = 5"}, audit.Removed, 5},
	{"removed and closed up", append([]string{"DELETE FROM audit_events WHERE " + at(5), "DELETE FROM audit_links WHERE org_id = $ORG AND sequence = 5"}, shift(6, -1)...), audit.Removed, 5},
	{"first removed", []string{"DELETE FROM audit_events WHERE " + at(1), "DELETE FROM audit_links WHERE org_id = $ORG AND sequence = 1"}, audit.Removed, 1},
	{"last removed", []string{"DELETE FROM audit_events WHERE " + at(10), "DELETE FROM audit_links WHERE org_id = $ORG AND sequence = 10"}, audit.Removed, 10},
	{"all removed", []string{"DELETE FROM audit_events WHERE org_id = $ORG", "DELETE FROM audit_links WHERE org_id = $ORG", "DELETE FROM audit_checkpoints WHERE org_id = $ORG"}, audit.Removed, 1},
	{"added in the middle", append(append([]string{copied(5, forgedID, "at")}, shift(6, 1)...),
		"INSERT INTO audit_links SELECT org_id, 6, '"+forgedID+"', hash, 'x' FROM audit_links WHERE org_id = $ORG AND sequence = 5"), audit.Added, 6},
	{"links swapped", swap("sequence", 4, 7), audit.Reordered, 4},
	{"neighbours swapped", swap("sequence", 4, 5), audit.Reordered, 4},
	{"events of links swapped", swap("event_id", 4, 7), audit.Reordered, 4},
	{"checkpoint forged", []string{"UPDATE audit_checkpoints SET hash = 'x' WHERE org_id = $ORG"}, audit.Forged, 10},
}

func TestEveryTamperingIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	for _, c := range tamperings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, r *rig) {
				r.record(9) // and the sign-in
				r.seal()
				r.sign()
				if report := r.verify(); !report.Intact() || report.Sealed != 10 || report.Signed != 10 {
					t.Fatalf("before: %+v", report)
				}
				want := models.EventID("")
				if links := r.links(); c.sequence > 0 {
					want = links[c.sequence-1].event
				}
				r.asOwner(c.as...)
				report := r.verify()
				if report.Intact() || report.Fault == nil || report.Fault.Kind != c.kind || report.Fault.Sequence != c.sequence {
					t.Fatalf("found %s", report)
				}
				if c.kind == audit.Changed && report.Fault.Event != want {
					t.Errorf("named %s, it was %s", report.Fault.Event, want)
				}
				// What is exported carries the fault along, except where only the
				// columns were changed, which an export doesn't have.
				offline := r.verifyExport(r.export(models.EventFilter{}, audit.JSONL))
				if c.name != "shown column changed" && c.name != "time changed" && offline.Intact() {
					t.Errorf("the export is intact: %s", offline)
				}
			})
		})
	}
}

func TestNothingIsSignedThatIsNotWhole(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(10)
		r.seal()
		first := r.sign()
		r.record(10)
		r.seal()
		r.asOwner("DELETE FROM audit_events WHERE " + at(15))
		if c, err := r.service.Checkpoint(t.Context(), r.Acme.ID); !errors.Is(err, audit.ErrUnsigned) {
			t.Errorf("signed %+v: %v", c, err)
		}
		if report := r.verify(); report.Signed != first.Sequence || report.Fault.Kind != audit.Removed || report.Fault.Sequence != 15 {
			t.Errorf("%s", report)
		}
	})
}

// The owner changes an event and makes every hash anew, and even the
// checkpoints in the database vanish: the file outside tells.
func TestFullRehashIsCaughtFromOutside(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(6)
		r.seal()
		r.sign()
		r.record(6)
		r.seal()
		r.sign()
		r.asOwner("UPDATE audit_events SET object_name = 'x', body = replace(body, object_name, 'x') WHERE " + at(9))
		r.rehash()
		for _, after := range []string{"SELECT 1", "DELETE FROM audit_checkpoints"} {
			r.asOwner(after)
			r.service = r.newService()
			report := r.verify()
			if report.Fault == nil || report.Fault.Kind != audit.Rewritten || report.Fault.Sequence != 8 {
				t.Fatalf("after %s: %s", after, report)
			}
			if _, err := r.service.Checkpoint(t.Context(), r.Acme.ID); !errors.Is(err, audit.ErrUnsigned) {
				t.Errorf("after %s it was signed: %v", after, err)
			}
			offline := r.verifyExport(r.export(models.EventFilter{}, audit.JSONL))
			if offline.Fault == nil || offline.Fault.Kind != audit.Rewritten {
				t.Errorf("after %s the export says: %s", after, offline)
			}
		}
	})
}

// An event that says it is old is found even once the sealer has linked it.
func TestEventWrittenInAfterwardsIsNamed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(3)
		r.seal()
		const old = "2020-01-01T00:00:00.000000Z"
		r.asOwner(copied(2, forgedID, "'2020-01-01 00:00:00'"),
			`UPDATE audit_events SET body = (SELECT substr(body, 1, instr_at) || '`+old+`' || substr(body, instr_at + 28)
			 FROM (SELECT body, `+position(r)+` + 5 AS instr_at FROM audit_events WHERE id = '`+forgedID+`') cut) WHERE id = '`+forgedID+`'`)
		if report := r.verify(); report.Fault == nil || report.Fault.Kind != audit.Added || report.Fault.Event != forgedID {
			t.Errorf("unsealed: %s", report)
		}
		r.seal()
		report := r.verify()
		if report.Fault == nil || report.Fault.Kind != audit.Added || report.Fault.Event != forgedID {
			t.Errorf("sealed: %s", report)
		}
		if _, err := r.service.Checkpoint(t.Context(), r.Acme.ID); !errors.Is(err, audit.ErrUnsigned) {
			t.Errorf("it was signed: %v", err)
		}
	})
}

func position(r *rig) string {
	if r.DB.Kind() == models.SQLite {
		return `instr(body, '"at":"')`
	}
	return `position('"at":"' in body)`
}

func TestPortalItselfCanChangeNoLink(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(3)
		r.seal()
		r.sign()
		for _, s := range []string{"UPDATE audit_links SET hash = 'x'", "DELETE FROM audit_links", "UPDATE audit_checkpoints SET hash = 'x'", "DELETE FROM audit_checkpoints"} {
			if r.DB.Kind() == models.PostgreSQL {
				if _, err := r.DB.SQL().ExecContext(t.Context(), "SELECT set_config('millwright.system', 'on', false)"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := r.DB.SQL().ExecContext(t.Context(), s); err == nil {
				t.Errorf("%s was allowed", s)
			}
		}
	})
}
