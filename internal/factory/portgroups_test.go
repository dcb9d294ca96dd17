package factory

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func TestDeletedNetworkLeavesNothingInVSphere(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		ctx := context.Background()
		r := build(t, db, Options{}, "--clone-delay", "5ms")
		r.must(r.OfferVLANs(300, 310))
		stop := r.start()
		admin := r.Scope(t, "admin@acme.example", "acme")
		n := models.Network{Name: "backend", CloudID: r.Public.ID, CIDR: "10.77.0.0/24"}
		r.must(admin.Change(ctx, func(w *models.Writer) error { return w.CreateNetwork(&n) }))
		made, err := r.factory.Order(ctx, r.scope, models.Order{Name: "db-1", Template: "debian-13", InstanceType: "small", Network: string(n.ID)})
		r.must(err)
		m := made[0]
		r.ends(m.ID, models.TaskSucceeded)
		_, err = r.factory.Delete(ctx, r.scope, m.ID, m.Name)
		r.must(err)
		r.reaches(m.ID, models.MachineDeleted)
		stop()
		r.must(admin.Change(ctx, func(w *models.Writer) error { return w.DeleteNetwork(n.ID) }))

		c, _ := r.factory.clouds.get(r.Public.ID)
		latest := func() (d models.TaskDetail) {
			r.must(admin.Read(ctx, func(reader *models.Reader) (err error) {
				d, err = reader.LatestClear(n.ID)
				return err
			}))
			return d
		}
		// Something else hangs on it: the Task fails in words, the next sweep
		// leaves it to people for a while, and they try again.
		r.vcenter.faults(lab.FaultRequest{Fail: []lab.Fault{{Method: "RemovePortGroup", Type: "NoPermission"}}})
		r.factory.clearNetworks(ctx, c)
		r.factory.clearNetworks(ctx, c) // another node's sweep: one Task is enough
		d := latest()
		if d.State != models.TaskQueued || d.MachineName != "backend" || d.MachineID != "" {
			t.Fatalf("the task: %+v", d.Task)
		}
		if err := r.factory.Cancel(ctx, admin, d.ID); !errors.Is(err, models.ErrConflict) {
			t.Errorf("cancelled: %v", err)
		}
		if _, err := r.visitOnce(d.ID); err != nil {
			t.Fatal(err)
		}
		if d = latest(); d.State != models.TaskFailed || !strings.Contains(d.ErrorText, "port group could not be removed") {
			t.Fatalf("the task: %+v", d.Task)
		}
		r.factory.clearNetworks(ctx, c)
		if again := latest(); again.ID != d.ID {
			t.Error("the sweep begins another at once")
		}
		if _, err := r.factory.Retry(ctx, r.Scope(t, "admin@globex.example", "globex"), d.ID); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("retried by another org: %v", err)
		}
		retried, err := r.factory.Retry(ctx, admin, d.ID)
		r.must(err)
		// Whoever works on it may be killed at any write.
		for at := 1; latest().State.Active(); at++ {
			r.dieAt(at)
			if _, err := r.visitOnce(retried.ID); err != nil {
				t.Fatal(err)
			}
		}
		r.dieAt(0)
		if d = latest(); d.ID != retried.ID || d.State != models.TaskSucceeded || d.Percent != 100 {
			t.Fatalf("the task: %+v", d.Task)
		}
		if removed, err := r.client.RemovePortGroup(ctx, n.PortGroup); err != nil || removed {
			t.Errorf("the port group was still there: %v, %v", removed, err)
		}
		left, err := r.System.AbandonedNetworks(ctx, r.Public.ID)
		if err != nil || len(left) != 0 {
			t.Errorf("still to be done: %v, %v", left, err)
		}
		r.factory.clearNetworks(ctx, c)
		if d := latest(); d.ID != retried.ID {
			t.Error("cleared twice")
		}
		// One that lives is none of the sweep's.
		alive := r.AcmeNetworks[r.Public.ID]
		err = admin.Change(ctx, func(w *models.Writer) error { return w.PortGroupGone(alive.ID) })
		if !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a living network: %v", err)
		}
		told := map[models.Outcome]int{}
		r.must(admin.Read(ctx, func(reader *models.Reader) error {
			page, err := reader.Events(models.EventFilter{Action: models.ActionNetworkClear})
			for _, e := range page.Rows {
				if told[e.Outcome]++; e.ObjectName != "backend" {
					t.Errorf("history: %+v", e)
				}
			}
			return err
		}))
		if told[models.OutcomeAccepted] != 2 || told[models.OutcomeFailed] != 1 || told[models.OutcomeSucceeded] != 1 {
			t.Errorf("history: %v", told)
		}
		r.balanced()
	})
}
