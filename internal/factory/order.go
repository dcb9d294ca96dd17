package factory

import (
	"context"
	"errors"

	"github.com/millwright/millwright/models"
)

// errClosedSince says that the chosen cloud was drained or disabled after the
// plan was made.
var errClosedSince = errors.New("the cloud takes no new machines any more")

// Order accepts an order: it plans it, and in one transaction takes quota,
// names and addresses and stores the machines with their Tasks and jobs. What
// can't be had is an error, and nothing is kept.
func (f *Factory) Order(ctx context.Context, scope *models.Scope, o models.Order) ([]models.Machine, error) {
	plan, made, err := f.order(ctx, scope, o)
	if errors.Is(err, errClosedSince) { // a second plan knows of it
		plan, made, err = f.order(ctx, scope, o)
	}
	if errors.Is(err, errClosedSince) {
		err = models.Conflict(plan.Cloud.Name + " takes no new machines any more. Order again, elsewhere.")
	}
	if err != nil {
		return nil, f.refuse(ctx, scope, models.ActionMachineCreate, models.Object{Kind: "machine", Name: plan.Order.Name}, err)
	}
	return made, nil
}

func (f *Factory) order(ctx context.Context, scope *models.Scope, o models.Order) (models.Plan, []models.Machine, error) {
	plan, err := f.Plan(ctx, scope, o)
	if err != nil {
		return plan, nil, err
	}
	made, err := f.carryOut(ctx, scope, plan)
	return plan, made, err
}

// carryOut stores what was planned, all of it or nothing.
func (f *Factory) carryOut(ctx context.Context, scope *models.Scope, plan models.Plan) (made []models.Machine, err error) {
	err = scope.Change(ctx, func(w *models.Writer) error {
		made = made[:0]
		cloud, err := w.CloudForNew(plan.Cloud.ID)
		if err != nil {
			return err
		}
		if !cloud.Takes() {
			return errClosedSince
		}
		for _, name := range numbered(plan.Order.Name, plan.Order.Count) {
			m, err := f.accept(ctx, w, &plan, name, scope.UserID())
			if err != nil {
				return err
			}
			made = append(made, m)
		}
		return nil
	})
	return made, err
}

// accept stores one machine of an order with its Task.
func (f *Factory) accept(ctx context.Context, w *models.Writer, plan *models.Plan, name string, owner models.UserID) (models.Machine, error) {
	m := models.Machine{
		ID: models.NewID[models.MachineID](), Name: name,
		TemplateID: plan.Template.ID, InstanceTypeID: plan.InstanceType.ID,
		VCPUs: plan.InstanceType.VCPUs, MemoryMiB: plan.InstanceType.MemoryMiB, DiskGiB: plan.InstanceType.DiskGiB,
		PricePerHourMicros: plan.PricePerHourMicros / int64(plan.Order.Count),
		CloudID:            plan.Cloud.ID, NetworkID: plan.Network.ID,
		OwnerID: owner, PlacementReason: plan.Reason,
	}
	if err := w.TakeQuota(m.Amounts()); err != nil {
		return m, err
	}
	if err := w.InsertMachine(&m); err != nil {
		if errors.Is(err, models.ErrInvalid) { // taken since the plan was made
			return m, models.Invalid(map[string]string{"name": nameTaken(name, plan.Order.Count)})
		}
		return m, err
	}
	// The address refers to the machine, so the machine comes first.
	address := plan.Order.Address
	var err error
	if address == "" {
		_, address, err = w.TakeAddress(m.NetworkID, m.ID)
	} else {
		_, err = w.TakeThisAddress(m.NetworkID, m.ID, address)
	}
	if err != nil {
		return m, err
	}
	m.Address = address
	if err := w.SetMachine(m.ID, map[string]any{"address": address}); err != nil {
		return m, err
	}
	event := models.Event{
		Action: models.ActionMachineCreate, Object: m.Object(), Outcome: models.OutcomeAccepted,
		After: map[string]any{
			"template": plan.Template.Name, "size": plan.InstanceType.Name, "cloud": plan.Cloud.Name,
			"network": plan.Network.Name, "address": address, "price_per_hour_micros": m.PricePerHourMicros,
		},
	}
	t := models.Task{MachineID: m.ID, MachineName: m.Name, Kind: models.TaskCreate}
	return m, f.begin(ctx, w, &t, event)
}

// begin stores a Task with its steps, job and event.
func (f *Factory) begin(ctx context.Context, w *models.Writer, t *models.Task, event models.Event) error {
	if err := f.accepted(ctx, w, t); err != nil {
		return err
	}
	return w.Record(event)
}

// accepted stores a Task with its steps and its job; whoever calls it records
// what happened.
func (f *Factory) accepted(ctx context.Context, w *models.Writer, t *models.Task) error {
	op := f.operations[t.Kind]
	if err := w.InsertTask(t, op.specs(t)); err != nil {
		return err
	}
	for i := range op.steps {
		if op.steps[i].accepted {
			now := models.Now()
			err := w.SetStep(t, i, map[string]any{"state": models.StepDone, "percent": 100, "started_at": now, "finished_at": now})
			if err != nil {
				return err
			}
		}
	}
	return f.enqueue(ctx, w, t)
}
