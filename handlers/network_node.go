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

// nodeMachines is how many machines a page of the picker shows.
const nodeMachines = 12

// NewNode picks a machine, its address and a port for a service.
func (h *Network) NewNode(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	in := query(c)
	p := views.NodeNewProps{Search: in.text("q", maxSearch), Machine: in.text("machine", maxID), Port: in.text("port", 8), Enabled: true}
	return h.nodeForm(c, scope, service, http.StatusOK, p, in.paging())
}

func (h *Network) nodeForm(c echo.Context, scope *models.Scope, service models.ServiceID, status int, p views.NodeNewProps, page models.Paging) error {
	page.Limit = nodeMachines
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Service, err = r.Service(service); err != nil {
			return err
		}
		if p.Machine != "" {
			m, err := r.Machine(models.MachineID(p.Machine))
			if err != nil {
				return err
			}
			p.MachineName = m.Name
			if p.Addresses, err = r.MachineAddresses(m.ID); err != nil {
				return err
			}
			return nil
		}
		p.Machines, err = r.Machines(models.MachineFilter{Search: p.Search, Sort: models.SortName, Page: page})
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	port, _ := strconv.Atoi(p.Port)
	p.AdminPort, _ = network.OpenedAdmin(p.Service.SourceList(), port)
	return Render(c, status, views.NodeNew(p))
}

// AddNode puts a machine behind a service.
func (h *Network) AddNode(c echo.Context, scope *models.Scope) error {
	service, err := id[models.ServiceID](c, "service")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	p := views.NodeNewProps{Machine: in.text("machine", maxID), Address: in.text("address", 40), Port: in.text("port", 8), Enabled: in.values.Get("enabled") != "", OpenToAll: in.values.Get("open_to_all") != ""}
	port := in.number("port", 1, 65535)
	if p.Port == "" {
		in.problems["port"] = "Enter the port on which the machine answers."
	}
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
		s, err := w.Service(service)
		if err != nil {
			return err
		}
		if err := in.err(); err != nil {
			return err
		}
		if err := network.CheckNode(&s, port, p.OpenToAll); err != nil {
			return err
		}
		n := models.ServiceNode{ServiceID: service, MachineID: models.MachineID(p.Machine), Address: p.Address, Port: port, Enabled: p.Enabled}
		addresses, err := w.MachineAddresses(n.MachineID)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			if p.Address == "" || a.Address == p.Address {
				n.Address, n.NetworkID = a.Address, a.NetworkID
				break
			}
		}
		return w.AddNode(&n)
	})
	if errors.Is(err, models.ErrInvalid) {
		p.Errors = models.FieldsOf(err)
		if p.Errors["machine"] != "" {
			p.Machine = ""
		}
		return h.nodeForm(c, scope, service, http.StatusUnprocessableEntity, p, models.Paging{})
	}
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).Service(service), ui.Good, "The node is added.")
}

// NodeState switches a node, or removes it.
func (h *Network) NodeState(c echo.Context, scope *models.Scope) error {
	node, err := id[models.NodeID](c, "node")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	var service models.ServiceID
	done := ""
	err = scope.Change(c.Request().Context(), func(w *models.Writer) error {
		n, err := w.Node(node)
		if err != nil {
			return err
		}
		service = n.ServiceID
		switch in.values.Get("op") {
		case "enable":
			done = n.MachineName + " takes connections."
			return w.SetNode(node, true, false)
		case "drain":
			done = n.MachineName + " takes no new connections; those that are open may end."
			return w.SetNode(node, true, true)
		case "disable":
			done = n.MachineName + " is out."
			return w.SetNode(node, false, false)
		case "remove":
			done = n.MachineName + " is removed from the service."
			return w.RemoveNode(node)
		}
		return models.Invalid(map[string]string{"op": "Choose enable, drain, disable or remove."})
	})
	if errors.Is(err, models.ErrConflict) && !scripted(c) {
		return h.service(c, scope, service, http.StatusConflict, sentence(err))
	}
	if err != nil {
		return err
	}
	return h.leave(c, place(scope).Service(service), ui.Good, done)
}

// Publish begins on a machine's page: a port of it behind a service.
func (h *Network) Publish(c echo.Context, scope *models.Scope) error {
	in := query(c)
	if in.values.Get("machine") == "" { // of no machine in particular
		return c.Redirect(http.StatusSeeOther, place(scope).NewService())
	}
	p := views.PublishProps{}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Machine, err = r.Machine(models.MachineID(in.text("machine", maxID))); err != nil {
			return err
		}
		p.Services, err = r.Services()
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	return Render(c, http.StatusOK, views.Publish(p))
}
