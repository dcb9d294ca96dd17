package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Firewall is the org's rules, and what they would do.
func (h *Network) Firewall(c echo.Context, scope *models.Scope) error {
	in := query(c)
	p := views.FirewallProps{Form: views.NewRuleForm()}
	if in.values.Get("ask") == "" {
		return h.firewall(c, scope, http.StatusOK, p)
	}
	p.Ask = views.AskForm{Direction: in.text("ask", 4), Source: in.text("source", 40), Destination: in.text("destination", 40),
		Protocol: in.text("protocol", 8), Port: in.text("port", 8)}
	return h.firewall(c, scope, http.StatusOK, p)
}

func (h *Network) firewall(c echo.Context, scope *models.Scope, status int, p views.FirewallProps) error {
	p.CanManage = scope.Can(models.NetworkManage)
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		st, err := r.NetworkState()
		if err != nil {
			return err
		}
		p.Rules, p.Networks, p.Gateway, p.Outbound = st.Rules, st.Networks, st.Gateway, st.Outbound
		if p.Machines, err = r.MachineChoices(); err != nil {
			return err
		}
		if p.IPs, err = r.PublicIPs(); err != nil {
			return err
		}
		if p.Ask.Direction == "" {
			p.Ask = views.AskForm{Protocol: "tcp", Destination: st.Outbound}
			return nil
		}
		in := &input{values: map[string][]string{"port": {p.Ask.Port}}, problems: map[string]string{}}
		answer, wrong := network.Ask(&st, network.Question{Direction: p.Ask.Direction, Source: p.Ask.Source, Destination: p.Ask.Destination,
			Protocol: p.Ask.Protocol, Port: in.number("port", 0, 65535)})
		p.AskErrors = wrong
		if len(wrong) == 0 {
			p.Answer = &views.AnswerProps{Pass: answer.Pass, Text: answer.Text, Rule: answer.Rule}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(p.AskErrors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, status, views.FirewallLive(p))
	}
	return Render(c, status, views.Firewall(p))
}

func ruleOf(in *input) (views.RuleForm, network.RuleSpec) {
	f := views.RuleForm{Direction: in.text("direction", 4), Outside: in.text("outside", 40), Inside: in.text("inside", 80),
		Protocol: in.text("protocol", 8), Ports: in.text("ports", 16), Allow: in.values.Get("allow") == "yes",
		Enabled: in.values.Get("enabled") != "", Comment: in.text("comment", 120)}
	return f, network.RuleSpec{Direction: f.Direction, Outside: f.Outside, Inside: f.Inside, Protocol: f.Protocol, Ports: f.Ports,
		Allow: f.Allow, Enabled: f.Enabled, Comment: f.Comment, Problems: in.problems}
}

// AddRule puts a rule at the end.
func (h *Network) AddRule(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	typed, spec := ruleOf(in)
	err = h.network.AddRule(c.Request().Context(), scope, spec)
	return h.ruleDone(c, scope, views.FirewallProps{Form: typed}, err, "The rule is added at the end. Move it where it belongs.")
}

func (h *Network) ruleDone(c echo.Context, scope *models.Scope, p views.FirewallProps, err error, done string) error {
	switch {
	case errors.Is(err, models.ErrInvalid):
		p.Errors = models.FieldsOf(err)
		return h.firewall(c, scope, http.StatusUnprocessableEntity, p)
	case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
		p.Problem = sentence(err)
		return h.firewall(c, scope, http.StatusConflict, p)
	case err != nil:
		return err
	}
	return h.leave(c, place(scope).Firewall(), ui.Good, done)
}

// EditRule shows the form with a rule in it.
func (h *Network) EditRule(c echo.Context, scope *models.Scope) error {
	rule, err := id[models.RuleID](c, "firewall rule")
	if err != nil {
		return err
	}
	p := views.FirewallProps{}
	err = scope.Read(c.Request().Context(), func(r *models.Reader) error {
		row, err := r.FirewallRule(rule)
		p.Editing, p.Form = row.ID, views.RuleFormOf(row)
		return err
	})
	if err != nil {
		return err
	}
	return h.firewall(c, scope, http.StatusOK, p)
}

// ChangeRule stores an edited rule.
func (h *Network) ChangeRule(c echo.Context, scope *models.Scope) error {
	rule, err := id[models.RuleID](c, "firewall rule")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	typed, spec := ruleOf(in)
	err = h.network.ChangeRule(c.Request().Context(), scope, rule, spec)
	return h.ruleDone(c, scope, views.FirewallProps{Editing: rule, Form: typed}, err, "The rule is changed.")
}

const nowhere = "Say where the rule goes: up, down, or a position from 1 on."

// MoveRule puts a rule elsewhere: up, down, or to a position.
func (h *Network) MoveRule(c echo.Context, scope *models.Scope) error {
	rule, err := id[models.RuleID](c, "firewall rule")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	by, to := in.values.Get("by"), in.number("to", 0, 100_000)
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
		r, err := w.FirewallRule(rule)
		if err != nil {
			return err
		}
		if err := in.err(); err != nil {
			return err
		}
		switch by {
		case "up":
			to = r.Position - 1
		case "down":
			to = r.Position + 1
		case "":
			if to == 0 {
				return models.Invalid(map[string]string{"to": nowhere})
			}
		default:
			return models.Invalid(map[string]string{"to": nowhere})
		}
		return w.MoveRule(rule, max(to, 1))
	})
	if errors.Is(err, models.ErrInvalid) { // no field of the page's: dragged, or typed by hand
		p := views.FirewallProps{Form: views.NewRuleForm(), Problem: models.FieldsOf(err)["to"]}
		return h.firewall(c, scope, http.StatusUnprocessableEntity, p)
	}
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).Firewall(), ui.Good, "")
}

// DeleteRule removes one.
func (h *Network) DeleteRule(c echo.Context, scope *models.Scope) error {
	rule, err := id[models.RuleID](c, "firewall rule")
	if err != nil {
		return err
	}
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error { return w.DeleteRule(rule) })
	return h.ruleDone(c, scope, views.FirewallProps{}, err, "The rule is deleted.")
}
