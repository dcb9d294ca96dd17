package factory

import (
	"context"
	"testing"

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
		r.factory.clearNetworks(ctx, c)
		if removed, err := r.client.RemovePortGroup(ctx, n.PortGroup); err != nil || removed {
			t.Errorf("the port group was still there: %v, %v", removed, err)
		}
		left, err := r.System.AbandonedNetworks(ctx, r.Public.ID)
		if err != nil || len(left) != 0 {
			t.Errorf("still to be done: %v, %v", left, err)
		}
		r.factory.clearNetworks(ctx, c)
		// One that lives is none of the sweep's.
		alive := r.AcmeNetworks[r.Public.ID]
		r.must(r.System.PortGroupGone(ctx, models.AbandonedNetwork{ID: alive.ID, OrgID: alive.OrgID, Name: alive.Name}, true))
		var told []models.AuditEvent
		r.must(admin.Read(ctx, func(reader *models.Reader) error {
			page, err := reader.Events(models.EventFilter{Action: models.ActionNetworkClear})
			told = page.Rows
			return err
		}))
		if len(told) != 1 || told[0].ObjectName != "backend" {
			t.Errorf("history: %+v", told)
		}
	})
}
