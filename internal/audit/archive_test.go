package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

var later = time.Now().Add(time.Hour)

// texts are acme's events that the database has.
func (r *rig) texts() map[string]bool {
	r.t.Helper()
	found := map[string]bool{}
	for _, l := range r.links() {
		found[l.body] = true
	}
	return found
}

// inFiles are the events of the segments that are recorded.
func (r *rig) inFiles(dir string) map[string]bool {
	r.t.Helper()
	found := map[string]bool{}
	var segments []models.AuditSegment
	err := r.System.Look(r.t.Context(), r.Acme.ID, func(reader *models.Reader) (err error) {
		segments, err = reader.Segments()
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range segments {
		text, err := os.ReadFile(filepath.Join(dir, s.File))
		if err != nil {
			r.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if _, body, ok := strings.Cut(line, `,"event":`); ok {
				found[strings.TrimSuffix(body, "}\n")] = true
			}
		}
	}
	return found
}

func (r *rig) files(dir string) (list []string) {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		list = append(list, string(text))
	}
	return list
}

func (r *rig) verifyFiles(texts ...string) audit.Report {
	r.t.Helper()
	files := make([]io.ReadSeeker, len(texts))
	for i, text := range texts {
		files[i] = strings.NewReader(text)
	}
	report, err := audit.VerifyExports(files, r.key.Public(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// Wherever archiving breaks off, each event is in the database or in a file
// that is recorded; and the next run completes it.
func TestArchivingLosesNothingWhereverItBreaksOff(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		died := errors.New("died")
		dir := t.TempDir()
		for _, step := range []string{"written", "named", "checked", "recorded", "removed"} {
			r.record(12)
			r.seal()
			end := r.sign()
			before := r.texts()
			node := r.newService()
			node.DieAt(func(at string) error {
				if at == step {
					return died
				}
				return nil
			})
			if _, err := node.Archive(t.Context(), r.Acme, later, dir); !errors.Is(err, died) {
				t.Fatalf("%s: %v", step, err)
			}
			there, filed := r.texts(), r.inFiles(dir)
			for text := range before {
				if !there[text] && !filed[text] {
					t.Fatalf("%s: lost %s", step, text)
				}
			}
			if report := r.verify(); !report.Intact() {
				t.Fatalf("%s: %s", step, report)
			}
			if step == "recorded" { // and one event had gone when it died
				for _, l := range r.links() {
					if l.sequence == end.Sequence {
						r.asOwnerWithTriggers("DELETE FROM audit_events WHERE id = '" + string(l.event) + "'")
					}
				}
			}
			if _, err := r.newService().Archive(t.Context(), r.Acme, later, dir); err != nil {
				t.Fatalf("again after %s: %v", step, err)
			}
			for _, l := range r.links() {
				if l.sequence <= end.Sequence {
					t.Fatalf("after %s: event %d is still there", step, l.sequence)
				}
			}
			if filed = r.inFiles(dir); len(filed) < int(end.Sequence) {
				t.Fatalf("after %s: %d of %d events are in files", step, len(filed), end.Sequence)
			}
			if report := r.verify(); !report.Intact() || report.Archived != end.Sequence {
				t.Fatalf("after %s: %s", step, report)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// asOwnerWithTriggers changes what the database lets its owner change.
func (r *rig) asOwnerWithTriggers(statement string) { r.t.Helper(); r.exec(statement) }

// Segments and the export that goes on behind them prove the whole history,
// and each proves its own part.
func TestSegmentsAndExportTogetherProveAll(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		dir := t.TempDir()
		for range 2 {
			r.record(10)
			r.seal()
			r.sign()
			if _, err := r.service.Archive(t.Context(), r.Acme, later, dir); err != nil {
				t.Fatal(err)
			}
		}
		r.record(5)
		export, segments := r.export(models.EventFilter{}, audit.JSONL), r.files(dir)
		if len(segments) != 2 {
			t.Fatalf("%d segments", len(segments))
		}
		if report := r.verifyFiles(export); !report.Intact() || report.From < 20 || !strings.Contains(report.String(), "What came before") {
			t.Errorf("the export alone: %s", report)
		}
		for i, text := range segments {
			if report := r.verifyFiles(text); !report.Intact() {
				t.Errorf("segment %d alone: %s", i, report)
			}
		}
		if report := r.verifyFiles(export, segments[1], segments[0]); !report.Intact() || report.From != 1 || report.Sealed != report.Signed {
			t.Errorf("together: %s", report)
		}
		if report := r.verifyFiles(segments[0], export); report.Fault == nil || report.Fault.Kind != audit.Removed || report.Fault.Sequence < 10 {
			t.Errorf("without the second: %s", report)
		}
		if report := r.verifyFiles(segments[0], segments[0], segments[1]); report.Fault == nil || report.Fault.Kind != audit.Added {
			t.Errorf("the first twice: %s", report)
		}
		changed := strings.Replace(segments[1], `"name":"machine-3"`, `"name":"machine-4"`, 1)
		if report := r.verifyFiles(segments[0], changed, export); report.Fault == nil || report.Fault.Kind != audit.Changed || report.Fault.Sequence < 10 {
			t.Errorf("changed: %s", report)
		}
		lines := strings.SplitAfter(segments[1], "\n")
		moved := strings.Replace(lines[0], `"sequence":`, `"sequence":1`, 1) + strings.Join(lines[1:], "")
		if report := r.verifyFiles(moved); report.Fault == nil || report.Fault.Kind != audit.Forged {
			t.Errorf("begins elsewhere: %s", report)
		}
		// What is left in the database goes on proving itself: its links.
		r.asOwner("UPDATE audit_links SET hash = previous_hash WHERE org_id = $ORG AND sequence = 4")
		if report := r.verify(); report.Fault == nil || report.Fault.Sequence != 5 {
			t.Errorf("a link of the archived part: %s", report)
		}
	})
}

// The portal can remove what a segment has, and nothing else.
func TestOnlyWhatASegmentHasLeavesTheDatabase(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		dir := t.TempDir()
		r.record(6)
		r.seal()
		r.sign()
		if _, err := r.service.Archive(t.Context(), r.Acme, later, dir); err != nil {
			t.Fatal(err)
		}
		r.record(6)
		r.seal()
		c := r.sign()
		count := len(r.texts())
		forged := models.AuditSegment{OrgID: r.Acme.ID, FirstSequence: c.Sequence - 1, LastSequence: c.Sequence - 1, Hash: c.Hash, KeyID: c.KeyID, At: models.Now()}
		for _, try := range []struct {
			name    string
			segment models.AuditSegment
		}{
			{"no segment", models.AuditSegment{OrgID: r.Acme.ID, LastSequence: c.Sequence}},
			{"another org's", models.AuditSegment{OrgID: r.Globex.ID, FirstSequence: 1, LastSequence: c.Sequence}},
			{"with a gap before", models.AuditSegment{OrgID: r.Acme.ID, FirstSequence: c.Sequence, LastSequence: c.Sequence, Hash: c.Hash, KeyID: c.KeyID, At: models.Now()}},
			{"not where signed", forged},
		} {
			name, segment := try.name, try.segment
			if segment.Hash != "" {
				if err := r.System.AppendSegment(t.Context(), segment, models.SystemActor, event("forged")); err != nil {
					t.Fatal(err)
				}
				count++
				r.seal()
			}
			if err := r.System.RemoveArchived(t.Context(), segment); err == nil && r.DB.Kind() == models.PostgreSQL {
				t.Errorf("%s: it was let through", name)
			}
			if left := len(r.texts()); left != count {
				t.Fatalf("%s: %d events of %d are left", name, left, count)
			}
		}
		if _, err := r.DB.SQL().ExecContext(t.Context(), "DELETE FROM audit_events"); err == nil {
			t.Error("the portal deleted from the history")
		}
	})
}

func TestFormatOfASegmentIsAnExports(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		dir := t.TempDir()
		r.record(3)
		r.seal()
		r.sign()
		made, err := r.service.Archive(t.Context(), r.Acme, later, dir)
		if err != nil || len(made) != 1 {
			t.Fatalf("%+v: %v", made, err)
		}
		if again, err := r.service.Archive(t.Context(), r.Acme, time.Now().Add(-time.Hour), dir); err != nil || len(again) != 0 {
			t.Errorf("what is new was archived: %+v: %v", again, err)
		}
		text, err := os.ReadFile(filepath.Join(dir, made[0].File))
		if err != nil || !bytes.HasPrefix(text, []byte(`{"millwright_export":1`)) {
			t.Errorf("%.100s: %v", text, err)
		}
		// What was archived is told, and is no longer found.
		var page models.Page[models.AuditEvent]
		err = r.auditor.Read(t.Context(), func(reader *models.Reader) (err error) {
			page, err = reader.Events(models.EventFilter{Text: "machine-1"})
			return err
		})
		if err != nil || len(page.Rows) != 0 {
			t.Errorf("found: %+v: %v", page.Rows, err)
		}
		err = r.auditor.Read(t.Context(), func(reader *models.Reader) (err error) {
			page, err = reader.Events(models.EventFilter{Action: models.ActionHistoryArchive})
			return err
		})
		if err != nil || len(page.Rows) != 1 || !strings.Contains(page.Rows[0].After, made[0].SHA256) {
			t.Errorf("told: %+v: %v", page.Rows, err)
		}
	})
}

// A segment leaves the database in steps, so that none of them holds up
// anybody, and a step that breaks off is gone on with.
func TestASegmentLeavesInSteps(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		const many = 2300
		for done := 0; done < many; done += 100 {
			err := r.System.Within(t.Context(), r.Acme.ID, r.auditor.Actor(), func(w *models.Writer) error {
				for i := range 100 {
					if err := w.Record(event(fmt.Sprintf("machine-%d", done+i))); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		r.seal()
		end := r.sign()
		if err := r.service.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The third step finds the database refusing: as much as was removed stays so.
		var last models.EventID
		for _, l := range r.links() {
			if l.sequence == end.Sequence {
				last = l.event
			}
		}
		refuse := "CREATE TRIGGER refuses BEFORE DELETE ON audit_events WHEN OLD.id = '" + string(last) + "' BEGIN SELECT RAISE(ABORT, 'not now'); END"
		if r.DB.Kind() == models.PostgreSQL {
			refuse = "CREATE FUNCTION not_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;" +
				"CREATE TRIGGER refuses BEFORE DELETE ON audit_events FOR EACH ROW WHEN (OLD.id = '" + string(last) + "') EXECUTE FUNCTION not_now()"
		}
		r.exec(refuse)
		dir := t.TempDir()
		if _, err := r.service.Archive(t.Context(), r.Acme, later, dir); err == nil || !strings.Contains(err.Error(), "not now") {
			t.Fatalf("archived: %v", err)
		}
		if left := len(r.texts()); left == 0 || left > int(end.Sequence)-2000+1 { // and what tells of the segment
			t.Fatalf("%d events of %d are left after two steps", left, end.Sequence)
		}
		if report := r.verify(); !report.Intact() || report.Archived != end.Sequence {
			t.Errorf("between the steps: %s", report)
		}
		if r.DB.Kind() == models.PostgreSQL {
			r.exec("DROP TRIGGER refuses ON audit_events")
		} else {
			r.exec("DROP TRIGGER refuses")
		}
		if _, err := r.newService().Archive(t.Context(), r.Acme, time.Now().AddDate(-1, 0, 0), dir); err != nil {
			t.Fatal(err)
		}
		for _, l := range r.links() {
			if l.sequence <= end.Sequence && l.body != "" {
				t.Fatalf("event %d is still there", l.sequence)
			}
		}
		if report := r.verify(); !report.Intact() || report.Archived != end.Sequence {
			t.Errorf("in the end: %s", report)
		}
	})
}

// Day by day, whoever seals archives what is old enough by then.
func TestEachDayIsArchived(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		outside, err := audit.OpenOutside(r.file)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		node := audit.New(r.System, audit.Options{Key: r.key, Outside: outside, Logger: testkit.Quiet(), Archiving: &audit.Archiving{Dir: dir}})
		node.ArchiveEvery(50 * time.Millisecond)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); node.Run(ctx) }()
		defer func() { stop(); <-ended }()
		for day := range 3 {
			r.record(5)
			if err := node.Seal(t.Context(), r.Acme.ID); err != nil {
				t.Fatal(err)
			}
			c, err := node.Checkpoint(t.Context(), r.Acme.ID)
			if err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(time.Minute); r.verify().Archived < c.Sequence; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("day %d: event %d was not archived", day, c.Sequence)
				}
			}
		}
	})
}

// A new key goes on where the former one ended, if that is named: with its
// checkpoints, its segments, and the rest of its history to be archived.
func TestANewKeyFollowsTheFormer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		dir := t.TempDir()
		r.record(6)
		r.seal()
		first := r.sign()
		if _, err := r.service.Archive(t.Context(), r.Acme, later, dir); err != nil {
			t.Fatal(err)
		}
		r.record(6)
		r.seal()
		second := r.sign()
		former := r.key
		var err error
		if r.key, err = audit.ReadOrMakeKey(filepath.Join(t.TempDir(), "new.key")); err != nil {
			t.Fatal(err)
		}
		outside, err := audit.OpenOutside(r.file)
		if err != nil {
			t.Fatal(err)
		}
		if r.service = r.newService(); r.verify().Fault == nil {
			t.Error("a key that is not named is believed")
		}
		r.service = audit.New(r.System, audit.Options{Key: r.key, Former: []audit.PublicKey{former.Public()}, Outside: outside, Logger: testkit.Quiet()})
		if report := r.verify(); !report.Intact() || report.Archived != first.Sequence || report.Signed != second.Sequence || report.OtherKeys > 0 {
			t.Errorf("after the change: %s", report)
		}
		// What the former key signed last is archived under the new one's name.
		made, err := r.service.Archive(t.Context(), r.Acme, later, dir)
		if err != nil || len(made) != 1 || made[0].LastSequence != second.Sequence || made[0].KeyID != r.key.Public().ID() {
			t.Fatalf("%+v: %v", made, err)
		}
		r.record(3)
		r.seal()
		third := r.sign()
		if third.KeyID != r.key.Public().ID() {
			t.Errorf("signed by %s", third.KeyID)
		}
		if report := r.verify(); !report.Intact() || report.Archived != second.Sequence || report.Signed != third.Sequence {
			t.Errorf("in the end: %s", report)
		}
		files := []io.ReadSeeker{}
		for _, text := range append(r.files(dir), r.export(models.EventFilter{}, audit.JSONL)) {
			files = append(files, strings.NewReader(text))
		}
		report, err := audit.VerifyExports(files, r.key.Public().With(former.Public()), nil)
		if err != nil || !report.Intact() || report.From != 1 || report.Sealed != report.Signed {
			t.Errorf("the files together: %s: %v", report, err)
		}
	})
}
