package factory

import (
	"context"
	"fmt"
	"maps"

	"github.com/millwright/millwright/models"
)

// FacadeSpec is what a service's policy is to be, as typed.
type FacadeSpec struct {
	Service          models.ServiceID
	Enabled          bool
	MinNodes         int
	MaxNodes         int
	Template         string
	InstanceType     string
	Network          string
	NodePort         int
	DeadAfterSeconds int
	CooldownSeconds  int
	OrdersPerHour    int
	Scale            bool
	ScaleOutAt       int
	ScaleInAt        int
	// AcceptedMicros is the price per hour that was shown and accepted, of the
	// most nodes; -1 was not accepted.
	AcceptedMicros int64
	// Problems is what could not even be read, by field.
	Problems map[string]string
}

// FacadeNodesMost bounds a policy: nobody means to order more by themselves.
const FacadeNodesMost = 20

func (s *FacadeSpec) check() map[string]string {
	wrong := map[string]string{}
	between := func(field string, n, least, most int, what string) {
		if n < least || n > most {
			wrong[field] = fmt.Sprintf("Enter %s from %d to %d.", what, least, most)
		}
	}
	between("min", s.MinNodes, 1, FacadeNodesMost, "a number of nodes")
	between("max", s.MaxNodes, 1, FacadeNodesMost, "a number of nodes")
	if wrong["min"] == "" && wrong["max"] == "" && s.MinNodes > s.MaxNodes {
		wrong["max"] = "The most can't be less than the least."
	}
	if s.Network == "" {
		wrong["network"] = "Choose the network that new machines come into."
	}
	between("port", s.NodePort, 1, 65535, "a port")
	between("dead_after", s.DeadAfterSeconds, 5, 3600, "seconds")
	between("cooldown", s.CooldownSeconds, 5, 86400, "seconds")
	between("per_hour", s.OrdersPerHour, 1, 60, "a number of machines")
	if !s.Scale {
		s.ScaleOutAt, s.ScaleInAt = 0, 0
	} else {
		between("scale_out", s.ScaleOutAt, 1, 1_000_000, "connections")
		if s.ScaleInAt < 0 || s.ScaleInAt*2 > s.ScaleOutAt {
			wrong["scale_in"] = "At most half of the number above, or nodes would come and go in turns."
		}
	}
	maps.Copy(wrong, s.Problems)
	return wrong
}

// quote says what the policy's most nodes cost per hour, and what of the order
// that it would make can't be had.
func (s *FacadeSpec) quote(r *models.Reader, service string) (plan models.Plan, micros int64, wrong map[string]string, err error) {
	d := draft{plan: models.Plan{Order: models.Order{Name: facadeName(service, 1), Template: s.Template, InstanceType: s.InstanceType, Network: s.Network}}, faults: map[string]string{}}
	d.tidy()
	if err := d.read(r); err != nil {
		return d.plan, 0, nil, err
	}
	delete(d.faults, "name") // each machine gets one that is free
	return d.plan, d.plan.PricePerHourMicros * int64(max(s.MaxNodes, 1)), d.faults, nil
}

// FacadeQuote is the price per hour of the most nodes that the policy may make.
func (f *Factory) FacadeQuote(ctx context.Context, scope *models.Scope, s FacadeSpec) (micros int64, err error) {
	err = scope.Read(ctx, func(r *models.Reader) error {
		_, micros, _, err = s.quote(r, "policy")
		return err
	})
	return micros, err
}

// SetFacade stores the service's policy. Who stores it orders by it: it takes
// the permission to order machines beside that to manage the network.
func (f *Factory) SetFacade(ctx context.Context, scope *models.Scope, s FacadeSpec) error {
	return scope.Change(ctx, func(w *models.Writer) error {
		service, err := w.Service(s.Service) // before what was typed: a stranger learns nothing
		if err != nil {
			return err
		}
		if !scope.Can(models.MachineOrder) {
			return models.Forbidden("A policy orders machines, which your role in this org doesn't include.")
		}
		wrong := s.check()
		plan, micros, faults, err := s.quote(&w.Reader, service.Name)
		if err != nil {
			return err
		}
		for field, sentence := range faults {
			if wrong[field] == "" {
				wrong[field] = sentence
			}
		}
		switch {
		case len(wrong) > 0:
		case s.AcceptedMicros < 0:
			wrong["accept"] = "Accept the price to go on."
		case micros > s.AcceptedMicros:
			wrong["accept"] = "The price of what you chose is another now. Look at it, and accept it."
		}
		if len(wrong) > 0 {
			return models.Invalid(wrong)
		}
		return w.PutFacade(models.FacadePolicy{ServiceID: service.ID, AuthorID: scope.UserID(), Enabled: s.Enabled, MinNodes: s.MinNodes, MaxNodes: s.MaxNodes,
			TemplateID: plan.Template.ID, InstanceTypeID: plan.InstanceType.ID, NetworkID: plan.Network.ID, NodePort: s.NodePort,
			DeadAfterSeconds: s.DeadAfterSeconds, CooldownSeconds: s.CooldownSeconds, OrdersPerHour: s.OrdersPerHour,
			ScaleOutAt: s.ScaleOutAt, ScaleInAt: s.ScaleInAt, AcceptedMicros: micros})
	})
}
