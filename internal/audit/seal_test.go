package audit_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/models"
)

// Fifty writers in each of two orgs and the provider's, while two nodes seal.
func TestChainStaysWholeUnderManyWriters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		const writers, each = 50, 6
		ctx, stop := context.WithCancel(t.Context())
		changes, unwatch := r.System.Watch()
		defer unwatch()
		var nodes, writing sync.WaitGroup
		go r.DB.Listen(ctx)
		nodes.Go(func() { r.service.Run(ctx) })
		nodes.Go(func() { // a node that lost its lock and hasn't seen it yet
			for ctx.Err() == nil {
				for _, org := range []models.OrgID{r.Acme.ID, r.Globex.ID, models.ProviderOrg} {
					if err := r.service.Seal(ctx, org); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			}
		})
		for i := range writers {
			for _, org := range []models.OrgID{r.Acme.ID, r.Globex.ID, models.ProviderOrg} {
				writing.Go(func() {
					for n := range each {
						err := r.System.Within(ctx, org, models.SystemActor, func(w *models.Writer) error {
							return w.Record(event(fmt.Sprintf("%d of writer %d", n, i)))
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		writing.Wait()
		r.untilSealed(changes)
		stop()
		nodes.Wait()
		for _, org := range []models.OrgID{r.Acme.ID, r.Globex.ID, models.ProviderOrg} {
			c, err := r.service.Checkpoint(t.Context(), org)
			if err != nil || c.Sequence < writers*each {
				t.Errorf("%s: signed up to %d: %v", org, c.Sequence, err)
			}
		}
		if report := r.verify(); !report.Intact() || report.Sealed < writers*each {
			t.Error(report)
		}
	})
}

// untilSealed waits, woken by what is committed, until no event is unsealed.
func (r *rig) untilSealed(changes <-chan models.Change, of ...models.OrgID) {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		orgs, err := r.System.UnlinkedOrgs(r.t.Context(), time.Time{})
		if err != nil {
			r.t.Fatal(err)
		}
		if len(of) > 0 {
			orgs = slices.DeleteFunc(orgs, func(org models.OrgID) bool { return !slices.Contains(of, org) })
		}
		if len(orgs) == 0 {
			return
		}
		select {
		case <-changes:
		case <-time.After(50 * time.Millisecond): // another node's change may go untold
		case <-deadline:
			r.t.Fatalf("%v are not sealed", orgs)
		}
	}
}

// An event whose transaction commits last is linked last, and none is lost.
func TestEventThatIsCommittedLateIsLinked(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(2)
		write := func(name string, during func()) error {
			return r.System.Within(t.Context(), r.Acme.ID, models.SystemActor, func(w *models.Writer) error {
				if err := w.Record(event(name)); err != nil {
					return err
				}
				during()
				return nil
			})
		}
		err := write("late", func() {
			if r.DB.Kind() == models.PostgreSQL { // SQLite has one writer at a time
				if err := write("quick", func() {}); err != nil {
					t.Error(err)
				}
				r.seal()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		r.seal()
		links := r.links()
		report := r.verify()
		if !report.Intact() || int(report.Sealed) != len(links) {
			t.Fatal(report)
		}
		var last models.AuditEvent
		err = r.auditor.Read(t.Context(), func(reader *models.Reader) error {
			var err error
			last, err = reader.Event(links[len(links)-1].event)
			return err
		})
		if err != nil || last.ObjectName != "late" {
			t.Errorf("the last link is of %q: %v", last.ObjectName, err)
		}
	})
}

func TestCheckpointStandsOnTheOneBefore(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.record(2)
		r.seal()
		first := r.sign()
		if again := r.sign(); again != first {
			t.Errorf("nothing was sealed, and it was signed again: %+v", again)
		}
		r.record(2)
		if report := r.verify(); !report.Intact() || report.Unsealed != 2 || report.Signed != first.Sequence {
			t.Errorf("%+v", report)
		}
		r.seal()
		second := r.sign()
		if second.Sequence != first.Sequence+3 { // the verification was told, too
			t.Errorf("signed %d and %d", first.Sequence, second.Sequence)
		}
		outside, err := audit.OpenOutside(r.file)
		if err != nil {
			t.Fatal(err)
		}
		list, err := outside.Of(r.Acme.ID)
		if err != nil || len(list) != 2 || list[0] != first || list[1] != second {
			t.Errorf("outside are %+v: %v", list, err)
		}
	})
}
