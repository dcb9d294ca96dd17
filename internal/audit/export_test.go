package audit_test

import (
	"encoding/csv"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/models"
)

func TestExportProvesItself(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(2500) // more than are read at a time
		r.seal()
		first := r.sign()
		text := r.export(models.EventFilter{}, audit.JSONL)
		report := r.verifyExport(text)
		if !report.Intact() || report.Sealed != first.Sequence+1 || report.Signed != report.Sealed || report.Org != r.Acme.ID {
			t.Fatalf("%+v", report)
		}
		lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
		join := func(l []string) string { return strings.Join(l, "") }
		without := func(i, j int) string { return join(slices.Delete(slices.Clone(lines), i, j)) }
		swapped := slices.Clone(lines)
		swapped[10], swapped[20] = swapped[20], swapped[10]
		for name, c := range map[string]struct {
			text     string
			kind     audit.FaultKind
			sequence int64
		}{
			"changed":        {strings.Replace(text, `"name":"machine-1000"`, `"name":"machine-1001"`, 1), audit.Changed, 1002},
			"spaced":         {strings.Replace(text, `"name":"machine-1000"`, `"name": "machine-1000"`, 1), audit.Changed, 1002},
			"removed":        {without(500, 501), audit.Removed, 500},
			"first removed":  {without(1, 2), audit.Removed, 1},
			"twice":          {join(slices.Insert(slices.Clone(lines), 7, lines[6])), audit.Added, 7},
			"reordered":      {join(swapped), audit.Reordered, 10},
			"sent elsewhere": {strings.Replace(text, string(r.Acme.ID), string(r.Globex.ID), 1), audit.Changed, 1},
			"noise":          {strings.Replace(text, lines[50], lines[50]+"noise\n", 1), audit.Unread, 51},
			"last cut":       {join(append(slices.Clone(lines[:len(lines)-4]), lines[len(lines)-1])), audit.Unread, 2502},
		} {
			report := r.verifyExport(c.text)
			if report.Fault == nil || report.Fault.Kind != c.kind || report.Fault.Sequence != c.sequence {
				t.Errorf("%s: %s", name, report)
			}
		}
		if report := r.verifyExport(join(lines[:len(lines)-1])); report.Intact() || !report.Cut {
			t.Errorf("without its end: %s", report)
		}
		// Without the checkpoints it is a chain that anybody could make.
		bare := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, `{"checkpoint"`) })
		if report := r.verifyExport(join(bare)); report.Intact() {
			t.Errorf("without a checkpoint: %s", report)
		}
		outside, err := os.Open(r.file)
		if err != nil {
			t.Fatal(err)
		}
		defer outside.Close()
		if report, err := audit.VerifyExport(strings.NewReader(join(bare)), r.key.Public(), outside); err != nil || !report.Intact() {
			t.Errorf("with the checkpoints from outside: %s: %v", report, err)
		}
		other, err := audit.ReadOrMakeKey(t.TempDir() + "/other")
		if err != nil {
			t.Fatal(err)
		}
		if report, err := audit.VerifyExport(strings.NewReader(text), other.Public(), nil); err != nil || report.Intact() || report.OtherKeys == 0 {
			t.Errorf("with another key: %s: %v", report, err)
		}
	})
}

func TestFilteredExportSaysThatItIsPartial(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(30)
		r.seal()
		e, err := r.service.Export(t.Context(), r.auditor, models.EventFilter{Object: "machine-1"}, audit.JSONL)
		if err != nil || !strings.Contains(e.FileName(), "partial") {
			t.Errorf("%s: %v", e.FileName(), err)
		}
		e.Close()
		text := r.export(models.EventFilter{Object: "machine-1"}, audit.JSONL)
		if !strings.Contains(strings.SplitN(text, "\n", 2)[0], `"complete":false`) || strings.Count(text, `{"sequence"`) != 11 {
			t.Errorf("%.300s", text)
		}
		if report := r.verifyExport(text); report.Intact() || !report.Partial || report.Fault != nil {
			t.Errorf("%s", report)
		}
		if report := r.verifyExport(strings.Replace(text, "machine-10", "machine-99", 1)); report.Fault == nil || report.Fault.Kind != audit.Changed {
			t.Errorf("%s", report)
		}
	})
}

func TestStrangersExportHasNothingOfOthers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(5)
		r.seal()
		r.auditor = r.Scope(t, "admin@globex.example", "globex")
		for _, format := range audit.Formats {
			if text := r.export(models.EventFilter{}, format); strings.Contains(text, "machine-") || strings.Contains(text, string(r.Acme.ID)) {
				t.Errorf("%s has acme's events", format)
			}
		}
	})
}

func TestSpreadsheetTakesNothingForAFormula(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		names := []string{`=HYPERLINK("http://x")`, "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "＝1", "|cmd", "%x", "a,\"b\"\nc"}
		for _, name := range names {
			if err := r.System.RecordIn(t.Context(), r.Acme.ID, r.auditor.Actor(), event(name)); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := csv.NewReader(strings.NewReader(r.export(models.EventFilter{}, audit.CSV))).ReadAll()
		if err != nil || len(rows) != len(names)+3 { // head, sign-in, export
			t.Fatalf("%d rows: %v", len(rows), err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if strings.ContainsAny(string([]rune(strings.TrimLeft(cell, " \t\r\n") + " ")[0]), "=+-@|%＝") {
					t.Errorf("cell %q", cell)
				}
			}
		}
	})
}
