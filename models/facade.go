package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// FacadeState is how a policy does.
type FacadeState string

const (
	FacadeWatching FacadeState = "watching" // nothing to do
	FacadeActing   FacadeState = "acting"   // a machine comes or goes
	FacadeStopped  FacadeState = "stopped"  // something should be done and can't be: Reason says why
)

// FacadePolicy keeps a service's nodes alive and their number between two
// bounds: behind the service's one face, machines come and go.
type FacadePolicy struct {
	ServiceID        ServiceID `gorm:"primaryKey"`
	OrgID            OrgID
	AuthorID         UserID // owns what is ordered; has to be allowed to order
	Enabled          bool
	MinNodes         int
	MaxNodes         int
	TemplateID       TemplateID
	InstanceTypeID   InstanceTypeID
	NetworkID        NetworkID
	NodePort         int // on which the machines answer
	DeadAfterSeconds int
	CooldownSeconds  int // between two acts
	OrdersPerHour    int
	ScaleOutAt       int   // connections per node; 0: the number stays
	ScaleInAt        int   // at most half of ScaleOutAt
	AcceptedMicros   int64 // per hour, for MaxNodes machines
	State            FacadeState
	Reason           string
	ReasonAt         *time.Time
	OverSince        *time.Time // more connections than ScaleOutAt
	UnderSince       *time.Time // fewer than ScaleInAt
	LastActAt        *time.Time
	RetryAt          *time.Time // what was refused is not asked again before
	NextNumber       int        // of the next machine's name
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

func (p *FacadePolicy) facts() map[string]any {
	return map[string]any{"enabled": p.Enabled, "min_nodes": p.MinNodes, "max_nodes": p.MaxNodes, "template": p.TemplateID,
		"instance_type": p.InstanceTypeID, "network": p.NetworkID, "node_port": p.NodePort, "dead_after_seconds": p.DeadAfterSeconds,
		"cooldown_seconds": p.CooldownSeconds, "orders_per_hour": p.OrdersPerHour, "scale_out_at": p.ScaleOutAt, "scale_in_at": p.ScaleInAt,
		"accepted_micros": p.AcceptedMicros}
}

// FacadeMachineState is where a machine that a policy made stands.
type FacadeMachineState string

const (
	FacadeOrdered FacadeMachineState = "ordered" // being made
	FacadeJoined  FacadeMachineState = "joined"  // a node
	FacadeLeaving FacadeMachineState = "leaving" // drained, to be deleted
	FacadeGone    FacadeMachineState = "gone"    // the policy's no more: deleted, failed, or taken over by people
)

// FacadeMachine is a machine that a policy made, and the only kind that it
// ever deletes.
type FacadeMachine struct {
	MachineID MachineID `gorm:"primaryKey"`
	OrgID     OrgID
	ServiceID ServiceID
	State     FacadeMachineState
	NodeID    *NodeID
	Replaces  NodeID // the dead node whose successor this is; "" for none
	OrderedAt time.Time
	LeavingAt *time.Time
}

// FacadeAct is one thing that a policy did.
type FacadeAct struct {
	ID        string `gorm:"primaryKey"`
	OrgID     OrgID
	ServiceID ServiceID
	At        time.Time
	Action    Action
	Text      string
	TaskID    TaskID // "" where no Task goes with it
}

// FacadeRef names a policy, for those who look after all of them.
type FacadeRef struct {
	OrgID     OrgID
	ServiceID ServiceID
}

// Facades lists every org's policies that are on.
func (s *System) Facades(ctx context.Context) (list []FacadeRef, err error) {
	err = s.reading(ctx, func(r *Reader) error {
		return r.tx.Model(&FacadePolicy{}).Select("org_id, service_id").Where("enabled = ?", true).Order("service_id").Find(&list).Error
	})
	return list, err
}

// Facade returns the service's policy, or ErrNotFound.
func (r *Reader) Facade(id ServiceID) (FacadePolicy, error) {
	var p FacadePolicy
	return p, absent(r.tx.Take(&p, "service_id = ?", id).Error, "policy")
}

// FacadeMachine returns a machine's record as a policy's, or ErrNotFound.
func (r *Reader) FacadeMachine(id MachineID) (FacadeMachine, error) {
	var m FacadeMachine
	return m, absent(r.tx.Take(&m, "machine_id = ?", id).Error, "machine of a policy")
}

// FacadeMachines lists those that are the policy's, oldest first.
func (r *Reader) FacadeMachines(id ServiceID) ([]FacadeMachine, error) {
	var rows []FacadeMachine
	return rows, r.tx.Order("ordered_at, machine_id").Find(&rows, "service_id = ? AND state <> ?", id, FacadeGone).Error
}

// FacadeActs lists what the policy did last, newest first.
func (r *Reader) FacadeActs(id ServiceID, limit int) ([]FacadeAct, error) {
	var rows []FacadeAct
	return rows, r.tx.Order("id DESC").Limit(limit).Find(&rows, "service_id = ?", id).Error
}

// FacadeOrders counts the machines that the policy has ordered since, and says
// when the first of them was.
func (r *Reader) FacadeOrders(id ServiceID, since time.Time) (n int, first time.Time, err error) {
	var rows []FacadeMachine
	err = r.tx.Select("ordered_at").Order("ordered_at").Find(&rows, "service_id = ? AND ordered_at > ?", id, since).Error
	if len(rows) > 0 {
		first = rows[0].OrderedAt
	}
	return len(rows), first, err
}

// LatchFacade has the service's policy alone until the transaction ends: what
// is read after it is what the one before left.
func (w *Writer) LatchFacade(id ServiceID) error { return w.latch("facade "+string(id), false) }

// PutFacade stores the service's policy, in place of one that there is.
func (w *Writer) PutFacade(p FacadePolicy) error {
	s, err := w.Service(p.ServiceID)
	if err != nil {
		return err
	}
	if err := w.LatchFacade(p.ServiceID); err != nil {
		return err
	}
	old, err := w.Facade(p.ServiceID)
	event := Event{Action: ActionFacadeSet, Object: s.Object(), Outcome: OutcomeSucceeded, After: p.facts()}
	p.OrgID, p.State, p.Reason, p.UpdatedAt = s.OrgID, FacadeWatching, "", Now()
	switch CodeOf(err) {
	case CodeNotFound:
		p.CreatedAt, p.NextNumber = p.UpdatedAt, 1
		err = w.tx.Create(&p).Error
	default:
		if err != nil {
			return err
		}
		event.Before = old.facts()
		set := p.facts()
		delete(set, "template")
		delete(set, "instance_type")
		delete(set, "network")
		set["template_id"], set["instance_type_id"], set["network_id"] = p.TemplateID, p.InstanceTypeID, p.NetworkID
		set["author_id"], set["state"], set["reason"], set["reason_at"], set["retry_at"] = p.AuthorID, p.State, "", nil, nil
		set["over_since"], set["under_since"], set["updated_at"] = nil, nil, p.UpdatedAt
		err = w.tx.Model(&FacadePolicy{}).Where("service_id = ?", p.ServiceID).Updates(set).Error
	}
	if errors.Is(err, gorm.ErrForeignKeyViolated) {
		return Invalid(map[string]string{"network": "Choose one of the org's networks."})
	}
	if err != nil {
		return err
	}
	w.touch("service", string(p.ServiceID))
	return w.Record(event)
}

// DeleteFacade ends the policy. The machines that it made stay: from now on
// they are people's.
func (w *Writer) DeleteFacade(id ServiceID) error {
	s, err := w.Service(id)
	if err != nil {
		return err
	}
	if err := w.LatchFacade(id); err != nil {
		return err
	}
	old, err := w.Facade(id)
	if err != nil {
		return err
	}
	if err := w.tx.Where("service_id = ?", id).Delete(&FacadePolicy{}).Error; err != nil {
		return err
	}
	if err := w.tx.Model(&FacadeMachine{}).Where("service_id = ?", id).Update("state", FacadeGone).Error; err != nil {
		return err
	}
	w.touch("service", string(id))
	return w.Record(Event{Action: ActionFacadeEnd, Object: s.Object(), Outcome: OutcomeSucceeded, Before: old.facts()})
}

// SetFacade stores how the policy does.
func (w *Writer) SetFacade(id ServiceID, set map[string]any) error {
	w.touch("service", string(id))
	return w.tx.Model(&FacadePolicy{}).Where("service_id = ?", id).Updates(set).Error
}

// AddFacadeMachine notes a machine as the policy's. That a dead node has a
// successor already is a conflict.
func (w *Writer) AddFacadeMachine(m FacadeMachine) error {
	m.OrgID, m.OrderedAt = w.scope.org, Now()
	err := w.tx.Create(&m).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Conflict("The node has a successor already.")
	}
	return err
}

// SetFacadeMachine stores where a machine of the policy stands.
func (w *Writer) SetFacadeMachine(id MachineID, set map[string]any) error {
	return w.tx.Model(&FacadeMachine{}).Where("machine_id = ?", id).Updates(set).Error
}

// ActFacade notes an act: for the service's page, and in the history.
func (w *Writer) ActFacade(s *ServiceRow, a FacadeAct, outcome Outcome) error {
	a.ID, a.OrgID, a.ServiceID, a.At = NewID[string](), s.OrgID, s.ID, Now()
	if err := w.tx.Create(&a).Error; err != nil {
		return err
	}
	w.touch("service", string(s.ID))
	after := map[string]any{"what": a.Text}
	if a.TaskID != "" {
		after["task"] = a.TaskID
	}
	return w.Record(Event{Action: a.Action, Object: s.Object(), Outcome: outcome, After: after})
}
