package models_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// crowd makes running machines of acme in its default network, in one go.
func crowd(t *testing.T, w *testkit.World, n int) {
	t.Helper()
	one := w.Machine(t, fmt.Sprintf("first-of-%d", n))
	err := w.System.Within(context.Background(), w.Acme.ID, models.SystemActor, func(tx *models.Writer) error {
		for i := range n - 1 {
			m := models.Machine{ID: models.NewID[models.MachineID](), Name: fmt.Sprintf("crowd-%03d", i), TemplateID: w.Template.ID, InstanceTypeID: w.Small.ID,
				VCPUs: 1, MemoryMiB: 1, DiskGiB: 1, CloudID: w.Public.ID, NetworkID: one.NetworkID, OwnerID: one.OwnerID}
			if err := tx.InsertMachine(&m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTopologyCostsTheSameHoweverMuchThereIs(t *testing.T) {
	t.Parallel()
	testkit.Counted(t, func(t *testing.T, db *models.DB, s *testkit.Statements) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		acmesEdge(t, w, m)
		theirs := w.MachineOf(t, "globex", "shop-1")
		acme := w.Scope(t, "admin@acme.example", "acme")
		read := func(open models.NetworkID) (top models.Topology, statements int) {
			t.Helper()
			statements = s.Of(func() {
				err := acme.Read(context.Background(), func(r *models.Reader) error {
					var err error
					top, err = r.Topology(open, "")
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			})
			return top, statements
		}
		small, few := read("")
		if len(small.Machines) != 1 || small.Machines[0].ID != m.ID || small.Machines[0].State != models.MachineRunning {
			t.Errorf("machines of a small network: %+v", small.Machines)
		}
		if len(small.IPs) != 1 || len(small.Services) != 1 || len(small.Services[0].Nodes) != 1 || small.VPN == nil || len(small.Peers) != 1 {
			t.Errorf("%+v", small)
		}
		crowd(t, w, 90)
		folded, many := read("")
		if few != many || few > 14 {
			t.Errorf("%d statements for one machine, %d for ninety", few, many)
		}
		if len(folded.Machines) != 0 {
			t.Errorf("a large network shows %d machines", len(folded.Machines))
		}
		total := 0
		for _, c := range folded.Counts {
			total += c.Machines
			if c.NetworkID == theirs.NetworkID {
				t.Error("another org's machines are counted")
			}
		}
		if total != 91 {
			t.Errorf("%d machines are counted", total)
		}
		if open, _ := read(m.NetworkID); len(open.Machines) != models.TopologyMost {
			t.Errorf("opened it shows %d", len(open.Machines))
		}
		if open, _ := read(theirs.NetworkID); len(open.Machines) != 0 {
			t.Errorf("another org's network shows %+v", open.Machines)
		}
	})
}
