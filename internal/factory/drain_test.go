package factory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func (r *rig) operator() *models.Provider {
	r.t.Helper()
	p, err := r.System.Provider(r.SignedIn(r.t, "operator@provider.example"))
	r.must(err)
	return p
}

// count is how many machines the records have in the cloud.
func (r *rig) count(cloud models.CloudID) int {
	r.t.Helper()
	d, err := r.operator().Cloud(context.Background(), cloud)
	r.must(err)
	return d.Machines
}

func TestDrainedCloudIsPassedOver(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		ctx := context.Background()
		o := models.Order{Name: "web", Template: "debian-13", InstanceType: "small"}
		plan, err := r.factory.Plan(ctx, r.scope, o)
		r.must(err)
		if plan.Cloud.ID != r.Public.ID {
			t.Fatalf("planned in %s", plan.Cloud.Name)
		}
		r.must(r.operator().MoveCloud(ctx, r.Public.ID, models.ActionCloudDrain))
		// The plan that was made before is not carried out, and nothing of it stays.
		if _, err := r.factory.carryOut(ctx, r.scope, plan); !errors.Is(err, errClosedSince) {
			t.Errorf("a plan of before: %v", err)
		}
		if n := r.count(r.Public.ID); n != 0 {
			t.Errorf("%d machines came in", n)
		}
		r.balanced()
		made, err := r.factory.Order(ctx, r.scope, o)
		r.must(err)
		if made[0].CloudID != r.Private.ID {
			t.Error("placed in the drained cloud")
		}
		o.Name, o.Cloud = "named", "public"
		if _, err := r.factory.Order(ctx, r.scope, o); !strings.Contains(models.FieldsOf(err)["cloud"], "takes no new machines") {
			t.Errorf("ordered there by name: %v", err)
		}
		r.must(r.operator().MoveCloud(ctx, r.Public.ID, models.ActionCloudUndrain))
		made, err = r.factory.Order(ctx, r.scope, o)
		r.must(err)
		if made[0].CloudID != r.Public.ID {
			t.Error("not placed where it was asked to be")
		}
	})
}

// Once the operator has the answer, no machine comes in any more, however many
// orders were under way.
func TestNothingComesInAfterADrain(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		ctx := context.Background()
		var orders sync.WaitGroup
		through := make(chan struct{}, 40)
		for i := range 40 {
			orders.Go(func() {
				_, err := r.factory.Order(ctx, r.scope, models.Order{Name: fmt.Sprintf("m%d", i), Template: "debian-13", InstanceType: "small", Cloud: "public"})
				if err != nil && !errors.Is(err, models.ErrInvalid) && !errors.Is(err, models.ErrConflict) {
					t.Errorf("order %d: %v", i, err)
				}
				through <- struct{}{}
			})
		}
		<-through
		r.must(r.operator().MoveCloud(ctx, r.Public.ID, models.ActionCloudDrain))
		before := r.count(r.Public.ID)
		orders.Wait()
		if after := r.count(r.Public.ID); after != before {
			t.Errorf("%d machines when it was drained, %d in the end", before, after)
		}
		r.balanced()
	})
}

func TestRetryInADrainedCloudIsRefused(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := build(t, db, Options{})
		r.start()
		r.vcenter.faults(lab.FaultRequest{Fail: []lab.Fault{{Method: "CloneVM_Task", Task: true, Type: "NoDiskSpace"}}})
		m := r.order("unlucky")
		d := r.ends(m.ID, models.TaskFailed)
		ctx := context.Background()
		r.must(r.operator().MoveCloud(ctx, r.Public.ID, models.ActionCloudDrain))
		if _, err := r.factory.Retry(ctx, r.scope, d.ID); !errors.Is(err, models.ErrConflict) || !strings.Contains(err.Error(), "takes no new machines") {
			t.Errorf("while drained: %v", err)
		}
		if now := r.machine(m.ID); now.State != models.MachineFailed || now.Reserved {
			t.Errorf("after the refusal %+v", now)
		}
		r.balanced()
		r.must(r.operator().MoveCloud(ctx, r.Public.ID, models.ActionCloudUndrain))
		_, err := r.factory.Retry(ctx, r.scope, d.ID)
		r.must(err)
		r.ends(m.ID, models.TaskSucceeded)
	})
}
