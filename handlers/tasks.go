package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Tasks shows what is and was being done, and cancels and retries it.
type Tasks struct {
	frames
	factory Factory
}

// taskStateActive stands in the address for every state that isn't an end.
const taskStateActive models.TaskState = "active"

// taskStates are those that a filter may ask for.
func taskStates() []models.TaskState {
	return append([]models.TaskState{taskStateActive, models.TaskSucceeded, models.TaskFailed, models.TaskCancelled},
		models.ActiveTaskStates...)
}

// List shows a page of the org's tasks, or how many are under way.
func (h *Tasks) List(c echo.Context, scope *models.Scope) error {
	if views.Part(c.Request()) == views.PartCount {
		return h.count(c, scope)
	}
	in := query(c)
	p := views.TaskListProps{Filter: models.TaskFilter{
		Search: in.text("q", maxSearch), State: choice(in, "state", taskStates()), Kind: choice(in, "kind", models.TaskKinds),
		Machine: models.MachineID(in.text("machine", maxID)), Page: in.paging(),
	}}
	if err := in.err(); err != nil {
		return err
	}
	if p.Filter.State == taskStateActive {
		p.Filter.State, p.Filter.Active = "", true
	}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		p.Page, err = r.Tasks(p.Filter)
		return err
	})
	if err != nil {
		return err
	}
	p.Frame = frame
	if views.Part(c.Request()) == views.PartList {
		return Render(c, http.StatusOK, views.TaskListRows(p))
	}
	return Render(c, http.StatusOK, views.TaskList(p))
}

func (h *Tasks) count(c echo.Context, scope *models.Scope) error {
	frame := views.Frame{Org: scope.Org()}
	err := scope.Read(c.Request().Context(), func(r *models.Reader) error {
		var err error
		frame.ActiveTasks, err = r.ActiveTasks()
		return err
	})
	if err != nil {
		return err
	}
	return Render(c, http.StatusOK, views.TaskCount(frame))
}

// Show is one task's page, or its live part.
func (h *Tasks) Show(c echo.Context, scope *models.Scope) error {
	task, err := id[models.TaskID](c, "task")
	if err != nil {
		return err
	}
	p, err := h.task(c, scope, task)
	if err != nil {
		return err
	}
	if views.Part(c.Request()) == views.PartLive {
		return Render(c, http.StatusOK, views.TaskLive(p))
	}
	return Render(c, http.StatusOK, views.Task(p))
}

func (h *Tasks) task(c echo.Context, scope *models.Scope, task models.TaskID) (views.TaskProps, error) {
	p := views.TaskProps{CanControl: scope.Can(models.TaskControl)}
	frame, err := h.page(c, scope, func(r *models.Reader) error {
		var err error
		if p.Task, err = r.Task(task); err != nil {
			return err
		}
		_, err = r.Machine(p.Task.MachineID)
		if errors.Is(err, models.ErrNotFound) {
			p.MachineGone, err = true, nil
		}
		return err
	})
	p.Frame = frame
	return p, err
}

// Cancel asks a task to stop.
func (h *Tasks) Cancel(c echo.Context, scope *models.Scope) error {
	task, err := id[models.TaskID](c, "task")
	if err != nil {
		return err
	}
	if err := h.factory.Cancel(c.Request().Context(), scope, task); err != nil {
		return h.again(c, scope, task, err)
	}
	return h.leave(c, place(scope).Task(task), ui.Good, "The task is being cancelled.")
}

// Retry does again what a failed task was for, and leads to the new one.
func (h *Tasks) Retry(c echo.Context, scope *models.Scope) error {
	task, err := id[models.TaskID](c, "task")
	if err != nil {
		return err
	}
	again, err := h.factory.Retry(c.Request().Context(), scope, task)
	if err != nil {
		return h.again(c, scope, task, err)
	}
	return h.leave(c, place(scope).Task(again.ID), ui.Good, "It is being tried again.")
}

// again shows the task as it is after something that could not be done to it.
func (h *Tasks) again(c echo.Context, scope *models.Scope, task models.TaskID, cause error) error {
	refused := errors.Is(cause, models.ErrConflict) || errors.Is(cause, models.ErrQuota)
	if scripted(c) || !refused {
		return cause
	}
	p, err := h.task(c, scope, task)
	if err != nil {
		return err
	}
	p.Frame.Flash = append(p.Frame.Flash, ui.Message{Tone: ui.Bad, Text: sentence(cause)})
	return Render(c, http.StatusConflict, views.Task(p))
}
