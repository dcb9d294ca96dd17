package audit_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/models"
)

// A sealer that stood still for long leaves more than are read at a time.
func TestVerificationCountsAllThatIsUnsealed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(5)
		r.seal()
		r.record(2100)
		if report := r.verify(); !report.Intact() || report.Unsealed != 2100 {
			t.Errorf("%s", report)
		}
	})
}

// What is sealed while a verification goes on is counted once.
func TestVerificationMissesNothingThatIsSealedMeanwhile(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(5)
		looks := 0
		report, err := r.service.VerifyReading(t.Context(), r.Acme.ID, func() {
			if looks++; looks%2 == 0 {
				r.seal()
			}
			r.record(1)
		})
		if err != nil || !report.Intact() || looks < 4 {
			t.Fatalf("%d looks: %s: %v", looks, report, err)
		}
		r.seal()
		// What came right before the last look may be in it or not.
		if all := len(r.links()); int(report.Sealed)+report.Unsealed < all-1 || int(report.Sealed)+report.Unsealed > all {
			t.Errorf("%d sealed and %d not, of %d", report.Sealed, report.Unsealed, all)
		}
	})
}

// Neither is a long rest counted twice that is sealed while it is looked at.
func TestVerificationCountsALongRestThatIsSealedMeanwhile(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(5)
		r.seal()
		r.record(1100)
		sealed := len(r.links())
		all := sealed + 1100
		for sealAt, looks := 1, 1; looks >= sealAt; sealAt++ {
			looks = 0
			report, err := r.service.VerifyReading(t.Context(), r.Acme.ID, func() {
				if looks++; looks == sealAt {
					r.seal()
				}
			})
			if err != nil || !report.Intact() || int(report.Sealed)+report.Unsealed != all {
				t.Fatalf("sealed at look %d: %s, of %d: %v", sealAt, report, all, err)
			}
			r.asOwner(fmt.Sprintf("DELETE FROM audit_links WHERE org_id = '%s' AND sequence > %d", r.Acme.ID, sealed))
		}
	})
}

// What was put among old events is found, though these are only counted.
func TestEventAmongOldOnesWithoutAPlaceIsFound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.service.TrustCounts()
		r.record(1100)
		r.seal()
		links := r.links()
		if report := r.verify(); !report.Intact() || report.Unsealed != 0 {
			t.Fatalf("before: %s", report)
		}
		for _, at := range []int{3, 1050, 500} {
			beside := string(links[at].event)
			added := beside[:35] + map[bool]string{true: "0", false: "f"}[beside[35] != '0']
			if added < string(links[at-1].event) {
				t.Fatalf("%s is not among the others", added)
			}
			r.asOwner(fmt.Sprintf(`INSERT INTO audit_events SELECT '%s', org_id, at, actor_kind, actor_id, actor_name, session_id, source, action,
				object_kind, object_id, object_name, outcome, before, after, request_id, body FROM audit_events WHERE id = '%s'`, added, beside))
			if report := r.verify(); report.Fault == nil || report.Fault.Kind != audit.Changed || string(report.Fault.Event) != added {
				t.Errorf("beside event %d: %s", at, report)
			}
			if at == 500 { // the last: an export seals it
				if text := r.export(models.EventFilter{}, audit.JSONL); !strings.Contains(text, `"event_id":"`+added) {
					t.Errorf("event %s is not in the export", added)
				}
			}
			r.asOwner(fmt.Sprintf("DELETE FROM audit_events WHERE id = '%s'", added))
		}
	})
}

// during does something while the first part of an export is written.
type during struct {
	bytes.Buffer
	do func()
}

func (d *during) Write(b []byte) (int, error) {
	if do := d.do; do != nil {
		d.do = nil
		do()
	}
	return d.Buffer.Write(b)
}

// What is written while an export goes on is in it, sealed or not, and once.
func TestExportHasWhatIsWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more int
		seal bool
	}{"sealed": {more: 7, seal: true}, "unsealed": {more: 7}, "many": {more: 1300}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, r *rig) {
				r.record(20)
				for _, format := range audit.Formats {
					e, err := r.service.Export(t.Context(), r.auditor, models.EventFilter{}, format)
					if err != nil {
						t.Fatal(err)
					}
					before := len(r.links())
					out := &during{do: func() {
						r.record(c.more)
						if c.seal {
							r.seal()
						}
					}}
					if err := e.Stream(t.Context(), out); err != nil {
						t.Fatal(err)
					}
					if format == audit.CSV {
						rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
						if err != nil || len(rows) != 1+before+c.more {
							t.Errorf("%d rows in place of %d: %v", len(rows), 1+before+c.more, err)
						}
						continue
					}
					report := r.verifyExport(out.String())
					if !report.Intact() || int(report.Sealed)+report.Unsealed != before+c.more {
						t.Errorf("of %d: %s", before+c.more, report)
					}
				}
			})
		})
	}
}

// While histories are verified to be signed, what happens is sealed.
func TestSealingGoesOnWhileSigningIsHeldUp(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		ctx, stop := context.WithCancel(t.Context())
		changes, unwatch := r.System.Watch()
		defer unwatch()
		release, err := r.service.HoldSigning(t.Context(), models.ProviderOrg) // which comes first
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.service.Run(ctx)
		}()
		for range 3 {
			r.record(3)
			r.untilSealed(changes)
		}
		release()
		for signed := int64(0); signed == 0; { // what waited is made up for
			err := r.System.Look(ctx, r.Acme.ID, func(reader *models.Reader) error {
				c, err := reader.LastCheckpoint()
				signed = c.Sequence
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		stop()
		<-ended
	})
}

// An export whose reader has gone doesn't wait for a signing that goes on.
func TestExportThatWaitsForASigningEndsWithItsReader(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		release, err := r.service.HoldSigning(t.Context(), r.Acme.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		r.record(1)
		ctx, leave := context.WithCancel(t.Context())
		changes, unwatch := r.System.Watch()
		defer unwatch()
		ended := make(chan error, 1)
		go func() {
			_, err := r.service.Export(ctx, r.auditor, models.EventFilter{}, audit.JSONL)
			ended <- err
		}()
		r.untilSealed(changes, r.Acme.ID) // signing comes next
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		for range 2 { // its place is free
			e, err := r.service.Export(t.Context(), r.auditor, models.EventFilter{}, audit.CSV)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
		}
		// And nobody else's is held up.
		e, err := r.service.Export(t.Context(), r.Scope(t, "admin@globex.example", "globex"), models.EventFilter{}, audit.JSONL)
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
	})
}

// An org that takes all the places it can get leaves some for the others.
func TestOneOrgCannotTakeAllPlaces(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		take := func(s *models.Scope) (*audit.Export, error) {
			return r.service.Export(t.Context(), s, models.EventFilter{}, audit.CSV)
		}
		for n := range 2 {
			e, err := take(r.auditor)
			if err != nil {
				t.Fatalf("place %d: %v", n, err)
			}
			defer e.Close()
		}
		if _, err := take(r.auditor); models.CodeOf(err) != models.CodeTooMany {
			t.Errorf("a third one: %v", err)
		}
		if _, err := r.service.Verify(t.Context(), r.auditor); models.CodeOf(err) != models.CodeTooMany {
			t.Errorf("a verification beside two exports: %v", err)
		}
		other, err := take(r.Scope(t, "admin@globex.example", "globex"))
		if err != nil {
			t.Fatalf("another org: %v", err)
		}
		var b bytes.Buffer
		if err := other.Stream(t.Context(), &b); err != nil {
			t.Error(err)
		}
		other.Close() // and no place that is somebody else's
		provider, err := r.System.Provider(r.SignedIn(t, "operator@provider.example"))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			e, err := r.service.ExportChain(t.Context(), provider, r.Acme, models.EventFilter{}, audit.CSV)
			if (n < 2) != (err == nil) {
				t.Errorf("the provider's export %d: %v", n, err)
			}
			if err == nil {
				defer e.Close()
			}
		}
	})
}
