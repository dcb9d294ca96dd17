package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/factory"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// facadeActs is how many of a policy's acts its service's page shows.
const facadeActs = 8

// facadePanel is how the service's policy does.
func facadePanel(r *models.Reader, id models.ServiceID, canManage bool) (views.FacadePanelProps, error) {
	p := views.FacadePanelProps{CanManage: canManage}
	policy, err := r.Facade(id)
	if errors.Is(err, models.ErrNotFound) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Policy = &policy
	if p.Acts, err = r.FacadeActs(id, facadeActs); err != nil {
		return p, err
	}
	mine, err := r.FacadeMachines(id)
	if err != nil {
		return p, err
	}
	p.Machines = len(mine)
	template, err := r.Template(string(policy.TemplateID))
	if err != nil {
		return p, err
	}
	size, err := r.InstanceType(string(policy.InstanceTypeID))
	if err != nil {
		return p, err
	}
	network, err := r.Network(policy.NetworkID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return p, err
	}
	p.Template, p.Size, p.Network = template.Name, size.Name, network.Name
	if err != nil {
		p.Network = "a network that is gone"
	}
	return p, nil
}

// facadeOf reads the form: as typed, and as a policy.
func facadeOf(in *input, id models.ServiceID) (views.FacadeForm, factory.FacadeSpec) {
	f := views.FacadeForm{Min: in.text("min", 4), Max: in.text("max", 4), Template: in.text("template", maxID), InstanceType: in.text("instance_type", maxID),
		Network: in.text("network", maxID), Port: in.text("port", 8), DeadAfter: in.text("dead_after", 8), Cooldown: in.text("cooldown", 8),
		PerHour: in.text("per_hour", 4), ScaleOut: in.text("scale_out", 8), ScaleIn: in.text("scale_in", 8),
		Enabled: in.values.Get("enabled") != "no", Scale: in.values.Get("scale") != ""}
	number := func(name string) int { return in.number(name, 0, 99_999_999) }
	return f, factory.FacadeSpec{Service: id, Enabled: f.Enabled, MinNodes: number("min"), MaxNodes: number("max"), Template: f.Template,
		InstanceType: f.InstanceType, Network: f.Network, NodePort: number("port"), DeadAfterSeconds: number("dead_after"), CooldownSeconds: number("cooldown"),
		OrdersPerHour: number("per_hour"), Scale: f.Scale, ScaleOutAt: number("scale_out"), ScaleInAt: number("scale_in"),
		AcceptedMicros: in.price(), Problems: in.problems}
}

// Policy is the form of the service's policy, or its price.
func (h *Network) Policy(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	in := query(c)
	if in.values.Get("typed") == "" {
		return h.policy(c, scope, service, http.StatusOK, views.FacadeProps{}, true)
	}
	typed, _ := facadeOf(in, service)
	return h.policy(c, scope, service, http.StatusOK, views.FacadeProps{Form: typed}, false)
}

func (h *Network) policy(c echo.Context, scope *models.Scope, service models.ServiceID, status int, p views.FacadeProps, fresh bool) error {
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Service, err = r.Service(service); err != nil {
			return err
		}
		policy, err := r.Facade(service)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		p.Exists = err == nil
		if p.Templates, err = r.Templates(""); err != nil {
			return err
		}
		if p.InstanceTypes, err = r.InstanceTypes(); err != nil {
			return err
		}
		if p.Networks, err = r.NetworkRows(); err != nil {
			return err
		}
		switch {
		case fresh && p.Exists:
			p.Form = views.FacadeFormOf(policy)
		case fresh:
			p.Form, err = presetFacade(r, &p)
		}
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	most, _ := strconv.Atoi(p.Form.Max)
	spec := factory.FacadeSpec{Template: p.Form.Template, InstanceType: p.Form.InstanceType, Network: p.Form.Network, MaxNodes: min(max(most, 1), factory.FacadeNodesMost)}
	if p.PriceMicros, err = h.factory.FacadeQuote(c.Request().Context(), scope, spec); err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.FacadePrice(p))
	}
	return Render(c, status, views.Facade(p))
}

// presetFacade proposes more of what is there: the first node's template, size,
// network and port.
func presetFacade(r *models.Reader, p *views.FacadeProps) (views.FacadeForm, error) {
	least := max(len(p.Service.Nodes), 1)
	first := models.FacadePolicy{Enabled: true, MinNodes: min(least, factory.FacadeNodesMost), MaxNodes: min(least+2, factory.FacadeNodesMost),
		NodePort: p.Service.Port, DeadAfterSeconds: 60, CooldownSeconds: 60, OrdersPerHour: 6}
	if len(p.Templates) > 0 {
		first.TemplateID = p.Templates[0].ID
	}
	if len(p.InstanceTypes) > 0 {
		first.InstanceTypeID = p.InstanceTypes[0].ID
	}
	if len(p.Networks) > 0 {
		first.NetworkID = p.Networks[0].ID
	}
	if len(p.Service.Nodes) > 0 {
		m, err := r.MachineRecord(p.Service.Nodes[0].MachineID)
		if err != nil {
			return views.FacadeForm{}, err
		}
		first.NetworkID, first.NodePort = m.NetworkID, p.Service.Nodes[0].Port
		if slices.ContainsFunc(p.Templates, func(t models.Template) bool { return t.ID == m.TemplateID }) {
			first.TemplateID = m.TemplateID
		}
		if slices.ContainsFunc(p.InstanceTypes, func(t models.InstanceType) bool { return t.ID == m.InstanceTypeID }) {
			first.InstanceTypeID = m.InstanceTypeID
		}
	}
	return views.FacadeFormOf(first), nil
}

// SetPolicy stores it.
func (h *Network) SetPolicy(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	typed, spec := facadeOf(in, service)
	err = h.factory.SetFacade(c.Request().Context(), scope, spec)
	p := views.FacadeProps{Form: typed, Errors: models.FieldsOf(err)}
	switch {
	case errors.Is(err, models.ErrInvalid):
		return h.policy(c, scope, service, http.StatusUnprocessableEntity, p, false)
	case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
		p.Problem = sentence(err)
		return h.policy(c, scope, service, http.StatusConflict, p, false)
	case err != nil:
		return err
	}
	return h.leave(c, place(scope).Service(service), ui.Good, "The policy is stored.")
}

// EndPolicy ends it.
func (h *Network) EndPolicy(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error { return w.DeleteFacade(service) })
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).Service(service), ui.Good, "The policy is ended.")
}
