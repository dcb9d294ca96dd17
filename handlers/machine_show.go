package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Show is the machine's page, its live part, or its row in the list.
func (h *Machines) Show(c echo.Context, scope *models.Scope) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartRow {
		return h.row(c, scope, machine)
	}
	p, err := h.machine(c, scope, machine)
	if err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.MachineLive(p))
	}
	return Render(c, http.StatusOK, views.Machine(p))
}

func (h *Machines) row(c echo.Context, scope *models.Scope, machine models.MachineID) error {
	p := views.MachineListRowProps{
		Place: place(scope), CanOperate: scope.Can(models.MachineOperate), CanConsole: scope.Can(models.ConsoleOpen),
	}
	err := scope.Read(c.Request().Context(), func(r *models.Reader) error {
		var err error
		p.Row, err = r.Machine(machine)
		return err
	})
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.MachineListRow(p))
}

// machine reads all that the page shows.
func (h *Machines) machine(c echo.Context, scope *models.Scope, machine models.MachineID) (views.MachineProps, error) {
	p := views.MachineProps{
		CanOperate: scope.Can(models.MachineOperate), CanConsole: scope.Can(models.ConsoleOpen),
		CanDelete: scope.Can(models.MachineDelete), CanControlTask: scope.Can(models.TaskControl), CanPublish: scope.Can(models.NetworkManage),
	}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Machine, err = r.Machine(machine); err != nil {
			return err
		}
		if p.Nodes, err = r.MachineNodes(machine); err != nil {
			return err
		}
		tasks, err := r.Tasks(models.TaskFilter{Machine: machine, Page: models.Paging{Limit: latest}})
		if err != nil {
			return err
		}
		p.Tasks = tasks.Rows
		if p.Events, err = r.ObjectEvents(string(machine), latest); err != nil {
			return err
		}
		// The newest Task is told step by step while it runs, and when it failed.
		if len(p.Tasks) > 0 && (p.Tasks[0].State.Active() || p.Tasks[0].State == models.TaskFailed) {
			task, err := r.Task(p.Tasks[0].ID)
			if err != nil {
				return err
			}
			p.Task = &task
		}
		return nil
	})
	p.Frame, p.CanVMRC = frame, frame.Look != nil && frame.User.ProviderRole.May(models.ProviderWrite)
	return p, err
}

// again shows the machine's page after something that could not be done, with
// why: as a message, unless change puts it elsewhere.
func (h *Machines) again(c echo.Context, scope *models.Scope, machine models.MachineID, cause error, change func(*views.MachineProps)) error {
	var e *models.Error
	if scripted(c) || !errors.As(cause, &e) {
		return cause
	}
	p, err := h.machine(c, scope, machine)
	if err != nil {
		return err
	}
	status := http.StatusConflict
	if e.Code == models.CodeInvalid {
		status = http.StatusUnprocessableEntity
	}
	if change != nil {
		change(&p)
	} else {
		p.Frame.Flash = append(p.Frame.Flash, ui.Message{Tone: ui.Bad, Text: e.Message})
	}
	return Render(c, status, views.Machine(p))
}
