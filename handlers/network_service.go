package handlers

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Steps of the wizard. All that was typed is in the address of each, so that
// back and forward keep it.
const (
	stepWhat = 1 + iota
	stepHealth
	stepSources
	stepReview
)

// fieldSteps says on which step a field stands.
var fieldSteps = map[string]int{
	"name": stepWhat, "public_ip": stepWhat, "protocol": stepWhat, "port": stepWhat,
	"balancing": stepHealth, "monitor": stepHealth, "path": stepHealth, "status": stepHealth, "idle": stepHealth,
	"sources": stepSources, "open_to_all": stepSources, "accept": stepReview,
}

// specOf reads the form: as typed, and as a service.
func specOf(in *input) (views.ServiceForm, network.ServiceSpec) {
	typed := views.ServiceForm{
		Name: in.text("name", 60), PublicIP: in.text("public_ip", maxID), Protocol: in.text("protocol", 8), Port: in.text("port", 8),
		Balancing: in.text("balancing", 32), Monitor: in.text("monitor", 8), Path: in.text("path", 200), Status: in.text("status", 4),
		Idle: in.text("idle", 8), Sources: in.text("sources", 3000), OpenToAll: in.values.Get("open_to_all") != "",
		Enabled: in.values.Get("enabled") != "no", Machine: in.text("machine", maxID), NodePort: in.text("node_port", 8),
	}
	spec := network.ServiceSpec{
		Name: typed.Name, PublicIP: typed.PublicIP, Protocol: choice(in, "protocol", models.ServiceProtocols),
		Port: in.number("port", 0, 65535), Balancing: choice(in, "balancing", models.Balancings), Monitor: typed.Monitor, Path: typed.Path,
		Status: in.number("status", 0, 599), IdleSeconds: in.number("idle", 0, 86400), OpenToAll: typed.OpenToAll, Enabled: typed.Enabled,
		AcceptedMicros: in.price(),
	}
	if spec.Monitor == "none" {
		spec.Monitor = ""
	}
	var problem string
	if spec.Sources, problem = network.ParseSources(typed.Sources); problem != "" {
		in.problems["sources"] = problem
	}
	spec.Problems = in.problems
	return typed, spec
}

// NewService is one step of the wizard. A step with something wrong in it is
// not passed.
func (h *Network) NewService(c echo.Context, scope *models.Scope) error {
	in := query(c)
	fresh := in.values.Get("step") == ""
	step := in.number("step", stepWhat, stepReview)
	typed, spec := specOf(in)
	if fresh {
		typed.Protocol, typed.Balancing, typed.Monitor, typed.Path, typed.Idle = "tcp", string(models.BalanceLeast), "tcp", "/", "300"
		return h.wizard(c, scope, http.StatusOK, views.ServiceNewProps{Step: step, Form: typed})
	}
	p := views.ServiceNewProps{Step: step, Form: typed, Errors: map[string]string{}}
	status := http.StatusOK
	for field, problem := range spec.Check() {
		if at := fieldSteps[field]; at != 0 && at < step {
			p.Errors[field] = problem
		}
	}
	if len(p.Errors) == 0 && step > stepWhat {
		problem, err := h.portProblem(c, scope, spec)
		if err != nil {
			return err
		}
		if problem != "" {
			p.Errors["port"] = problem
		}
	}
	for field := range p.Errors {
		status = http.StatusUnprocessableEntity
		p.Step = min(p.Step, fieldSteps[field])
	}
	return h.wizard(c, scope, status, p)
}

// portProblem says before the price is accepted what the database would say
// after it: that the port is reserved, or taken on the chosen address.
func (h *Network) portProblem(c echo.Context, scope *models.Scope, spec network.ServiceSpec) (problem string, err error) {
	err = scope.Read(c.Request().Context(), func(r *models.Reader) error {
		at := models.ServiceEndpoint{PublicIPID: models.IPID(spec.PublicIP), Port: spec.Port}
		if spec.PublicIP == "" {
			g, err := r.Gateway()
			if err != nil {
				return err
			}
			if g.OutboundIPID != nil {
				at.PublicIPID = *g.OutboundIPID
			}
		}
		problem, err = r.PortProblem("", spec.Protocol.L4(), at)
		return err
	})
	return problem, err
}

func (h *Network) wizard(c echo.Context, scope *models.Scope, status int, p views.ServiceNewProps) error {
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Gateway, err = r.Gateway(); err != nil {
			return err
		}
		if p.IPs, err = r.PublicIPs(); err != nil {
			return err
		}
		if p.Offer, err = r.PublicIPOffer(); err != nil {
			return err
		}
		if p.Reserved, err = r.ReservedPorts(); err != nil {
			return err
		}
		if p.Form.Machine != "" {
			m, err := r.Machine(models.MachineID(p.Form.Machine))
			if err != nil {
				return err
			}
			p.MachineName = m.Name
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.Frame, p.ServiceMicros = frame, h.network.ServicePrice()
	port, _ := strconv.Atoi(p.Form.Port)
	sources, _ := network.ParseSources(p.Form.Sources)
	p.AdminPort, _ = network.OpenedAdmin(sources, port)
	return Render(c, status, views.ServiceNew(p))
}

// CreateService makes what the wizard gathered.
func (h *Network) CreateService(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	typed, spec := specOf(in)
	made, err := h.network.CreateService(c.Request().Context(), scope, spec)
	p := views.ServiceNewProps{Step: stepReview, Form: typed}
	switch {
	case errors.Is(err, models.ErrInvalid):
		p.Errors = models.FieldsOf(err)
		for field := range p.Errors {
			p.Step = min(p.Step, max(fieldSteps[field], stepWhat))
		}
		return h.wizard(c, scope, http.StatusUnprocessableEntity, p)
	case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
		p.Problem = sentence(err)
		return h.wizard(c, scope, http.StatusConflict, p)
	case err != nil:
		return err
	}
	if typed.Machine != "" { // begun on a machine's page: that one comes behind it
		return h.leave(c, views.NewNodeOf(place(scope), made.ID, typed.Machine, typed.NodePort), ui.Good, made.Name+" is made. Now its first node.")
	}
	return h.leave(c, place(scope).Service(made.ID), ui.Good, made.Name+" is made. Add a node to it.")
}

// Service is one service, or its live part.
func (h *Network) Service(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	return h.service(c, scope, service, http.StatusOK, "")
}

func (h *Network) service(c echo.Context, scope *models.Scope, service models.ServiceID, status int, problem string) error {
	p := views.ServiceProps{CanManage: scope.Can(models.NetworkManage), Problem: problem}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Service, err = r.Service(service); err != nil {
			return err
		}
		if p.Gateway, err = r.Gateway(); err != nil {
			return err
		}
		if p.Facade, err = facadePanel(r, service, p.CanManage); err != nil {
			return err
		}
		p.Events, err = r.ObjectEvents(string(service), latest)
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.ServiceLive(p))
	}
	return Render(c, status, views.Service(p))
}

// EditService is the form of a service that is there.
func (h *Network) EditService(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	return h.editForm(c, scope, service, http.StatusOK, views.ServiceEditProps{}, true)
}

func (h *Network) editForm(c echo.Context, scope *models.Scope, service models.ServiceID, status int, p views.ServiceEditProps, asIs bool) error {
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Service, err = r.Service(service); err != nil {
			return err
		}
		if p.IPs, err = r.PublicIPs(); err != nil {
			return err
		}
		if p.Reserved, err = r.ReservedPorts(); err != nil {
			return err
		}
		p.Offer, err = r.PublicIPOffer()
		return err
	})
	if err != nil {
		return err
	}
	if asIs {
		p.Form = views.FormOf(p.Service)
	}
	port, _ := strconv.Atoi(p.Form.Port)
	sources, _ := network.ParseSources(p.Form.Sources)
	p.AdminPort, _ = network.OpenedAdmin(sources, append([]int{port}, network.NodePorts(&p.Service)...)...)
	p.Frame = frame
	return Render(c, status, views.ServiceEdit(p))
}

// ChangeService stores an edited service.
func (h *Network) ChangeService(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	typed, spec := specOf(in)
	done, err := h.network.ChangeService(c.Request().Context(), scope, service, spec)
	p := views.ServiceEditProps{Form: typed, Errors: models.FieldsOf(err)}
	switch {
	case errors.Is(err, models.ErrInvalid):
		return h.editForm(c, scope, service, http.StatusUnprocessableEntity, p, false)
	case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
		p.Problem = sentence(err)
		return h.editForm(c, scope, service, http.StatusConflict, p, false)
	case err != nil:
		return err
	}
	return h.leave(c, place(scope).Service(service), ui.Good, done.Words())
}

// DeleteService removes one; its name has to be typed.
func (h *Network) DeleteService(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	typed := in.text("confirm", maxName)
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
		s, err := w.Service(service)
		if err != nil {
			return err
		}
		if typed != s.Name {
			return models.Invalid(map[string]string{"confirm": "Type the service's name, " + s.Name + ", to delete it."})
		}
		return w.DeleteService(service)
	})
	if errors.Is(err, models.ErrInvalid) && !scripted(c) {
		return h.service(c, scope, service, http.StatusUnprocessableEntity, models.FieldsOf(err)["confirm"])
	}
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).Network(), ui.Good, "The service is deleted.")
}
