package handlers

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// New is the order form, or the plan of what it holds.
func (h *Machines) New(c echo.Context, scope *models.Scope) error {
	typed, order, problems := orderOf(query(c))
	if views.Part(c.Request()) == "" {
		if err := preset(c, scope, &typed, &order); err != nil {
			return err
		}
	}
	plan, _, err := h.plan(c, scope, order, problems)
	if err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartPlan {
		return Render(c, http.StatusOK, views.Plan(plan))
	}
	return h.orderForm(c, scope, http.StatusOK, views.MachineNewProps{Form: typed, Plan: plan})
}

// preset chooses for a form that is opened: the first template, and the first
// size that is enough for the template.
func preset(c echo.Context, scope *models.Scope, typed *views.OrderForm, order *models.Order) error {
	return scope.Read(c.Request().Context(), func(r *models.Reader) error {
		templates, err := r.Templates("")
		if err != nil {
			return err
		}
		for _, t := range templates {
			if typed.Template == "" {
				typed.Template, order.Template = t.Slug, t.Slug
			}
			if typed.Template != t.Slug || typed.InstanceType != "" {
				continue
			}
			sizes, err := r.InstanceTypes()
			if err != nil {
				return err
			}
			for _, size := range sizes {
				if size.VCPUs >= t.MinVCPUs && size.MemoryMiB >= t.MinMemoryMiB && size.DiskGiB >= t.MinDiskGiB {
					typed.InstanceType, order.InstanceType = size.Slug, size.Slug
					break
				}
			}
		}
		return nil
	})
}

// Create takes an order. What can't be taken comes back in the form, with
// everything that was typed.
func (h *Machines) Create(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	typed, order, problems := orderOf(in)
	var made []models.Machine
	if err = models.Invalid(problems); len(problems) == 0 {
		made, err = h.factory.Order(c.Request().Context(), scope, order)
	}
	p := views.MachineNewProps{Form: typed, Errors: models.FieldsOf(err)}
	switch {
	case errors.Is(err, models.ErrInvalid):
		return h.refuseOrder(c, scope, http.StatusUnprocessableEntity, p, order)
	case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
		p.Problem = sentence(err)
		return h.refuseOrder(c, scope, http.StatusConflict, p, order)
	case err != nil:
		return err
	}
	if len(made) != 1 {
		return h.leave(c, place(scope).Machines(), ui.Good, fmt.Sprintf("%d machines are being made.", len(made)))
	}
	return c.Redirect(http.StatusSeeOther, place(scope).Machine(made[0].ID))
}

func (h *Machines) refuseOrder(c echo.Context, scope *models.Scope, status int, p views.MachineNewProps, order models.Order) error {
	plan, wrong, err := h.plan(c, scope, order, p.Errors)
	if err != nil {
		return err
	}
	p.Plan, p.Errors = plan, wrong
	return h.orderForm(c, scope, status, p)
}

func (h *Machines) orderForm(c echo.Context, scope *models.Scope, status int, p views.MachineNewProps) error {
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Templates, err = r.Templates(""); err != nil {
			return err
		}
		if p.InstanceTypes, err = r.InstanceTypes(); err != nil {
			return err
		}
		if p.Clouds, err = r.Clouds(); err != nil {
			return err
		}
		p.Networks, err = r.Networks()
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	return Render(c, status, views.MachineNew(p))
}

// orderOf reads the form: as typed, as an order, and what can't be one.
func orderOf(in *input) (views.OrderForm, models.Order, map[string]string) {
	typed := views.OrderForm{
		Name: in.text("name", maxName), Template: in.text("template", maxID), InstanceType: in.text("instance_type", maxID),
		Cloud: in.text("cloud", maxID), Network: in.text("network", maxID), Address: in.text("address", 40), Count: in.text("count", 4),
	}
	order := models.Order{
		Name: typed.Name, Template: typed.Template, InstanceType: typed.InstanceType,
		Cloud: typed.Cloud, Network: typed.Network, Address: typed.Address, Count: 1,
	}
	if typed.Count != "" {
		var err error
		if order.Count, err = strconv.Atoi(typed.Count); err != nil || order.Count < 1 {
			in.problems["count"], order.Count = "Enter a whole number, 1 or more.", 1
		}
	}
	return typed, order, in.problems
}

// plan says what the order would lead to, as far as it is chosen, and all that
// is wrong with it by field: what is known already, and what the factory adds.
func (h *Machines) plan(c echo.Context, scope *models.Scope, order models.Order, known map[string]string) (views.PlanProps, map[string]string, error) {
	plan, err := h.factory.Plan(c.Request().Context(), scope, order)
	wrong := map[string]string{}
	problem := ""
	switch {
	case errors.Is(err, models.ErrInvalid):
		maps.Copy(wrong, models.FieldsOf(err))
	case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
		problem = sentence(err)
	case err != nil:
		return views.PlanProps{}, nil, err
	}
	maps.Copy(wrong, known)
	if len(wrong) > 0 {
		problem = planProblem(order, wrong)
	}
	return planProps(plan, problem), wrong, nil
}

// planProblem is why there is no plan. The name is no part of it, nor is what
// hasn't been chosen yet.
func planProblem(order models.Order, wrong map[string]string) string {
	var list []string
	for _, field := range []struct {
		name   string
		chosen bool
	}{
		{"template", order.Template != ""}, {"instance_type", order.InstanceType != ""}, {"cloud", true}, {"network", true}, {"address", true}, {"count", true},
	} {
		if field.chosen && wrong[field.name] != "" {
			list = append(list, wrong[field.name])
		}
	}
	return strings.Join(list, " ")
}

func planProps(plan models.Plan, problem string) views.PlanProps {
	p := views.PlanProps{
		Ready:   plan.Template.ID != "" && plan.InstanceType.ID != "" && plan.Cloud.ID != "",
		Problem: problem, TemplateName: plan.Template.Name, TypeName: plan.InstanceType.Name,
		VCPUs: plan.InstanceType.VCPUs, MemoryMiB: plan.InstanceType.MemoryMiB, DiskGiB: plan.InstanceType.DiskGiB,
		Count: max(plan.Order.Count, 1), PricePerHourMicros: plan.PricePerHourMicros,
		CloudName: plan.Cloud.Name, CloudClass: plan.Cloud.Class, CloudStatus: plan.Cloud.Status,
		NetworkName: plan.Network.Name, Reason: plan.Reason,
	}
	for _, q := range plan.Quota {
		p.Quota = append(p.Quota, views.QuotaAfter{Quota: q.Quota, More: q.After - q.Used})
	}
	return p
}
