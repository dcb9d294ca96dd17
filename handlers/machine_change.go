package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
	"github.com/millwright/millwright/views/ui"
)

// Power asks one machine for a power operation.
func (h *Machines) Power(c echo.Context, scope *models.Scope) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	task, err := h.factory.Power(c.Request().Context(), scope, machine, models.PowerOp(in.text("op", maxID)))
	if errors.Is(err, models.ErrConflict) || errors.Is(err, models.ErrQuota) {
		return h.again(c, scope, machine, err, nil)
	}
	if err != nil {
		return err
	}
	told := task.MachineName + " " + underWay(task.Op) + "."
	return h.asked(c, cameFrom(c, scope, place(scope).Machine(machine)), task, told)
}

// asked sends the browser on after a Task was accepted. A page that stays where
// it is, such as the console, is told here.
func (f frames) asked(c echo.Context, url string, task models.Task, told string) error {
	if wantsJSON(c) {
		return c.JSON(http.StatusAccepted, map[string]any{"task": task.ID, "message": told})
	}
	return f.leave(c, url, ui.Good, told)
}

// underWay says what has just been asked for.
func underWay(op models.PowerOp) string {
	switch op {
	case models.PowerStart:
		return "is starting"
	case models.PowerStop:
		return "is being powered off"
	case models.PowerShutdown:
		return "is shutting down"
	case models.PowerReset:
		return "is being reset"
	case models.PowerSuspend:
		return "is being suspended"
	default:
		return "is resuming"
	}
}

// PowerAll asks several machines for the same. Each is accepted or refused by
// itself, and what was refused is told.
func (h *Machines) PowerAll(c echo.Context, scope *models.Scope) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	ids, op := in.values["id"], choice(in, "op", models.PowerOps)
	if op == "" && in.problems["op"] == "" {
		in.problems["op"] = "Choose what to do with the machines."
	}
	if len(ids) > maxBulk {
		in.problems["id"] = fmt.Sprintf("At most %d machines at once.", maxBulk)
	}
	if err := in.err(); err != nil {
		return err
	}
	back := cameFrom(c, scope, place(scope).Machines())
	if len(ids) == 0 {
		return h.leave(c, back, ui.Warn, "Tick the machines first.")
	}
	done, refused, err := h.powerEach(c, scope, ids, op)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("Asked of %d machines.", done)
	switch done {
	case 0:
		text = "Nothing was asked."
	case 1:
		text = "Asked of 1 machine."
	}
	if len(refused) == 0 {
		return h.leave(c, back, ui.Good, text)
	}
	text = fmt.Sprintf("%s %d refused: %s", text, len(refused), strings.Join(refused[:min(len(refused), refusalsTold)], " "))
	return h.leave(c, back, ui.Warn, text)
}

// refusalsTold is how many sentences a message in the corner can hold.
const refusalsTold = 5

// powerEach asks one after the other. A machine that is gone or busy doesn't
// keep the others from it; a database that is away does.
func (h *Machines) powerEach(c echo.Context, scope *models.Scope, ids []string, op models.PowerOp) (done int, refused []string, err error) {
	for _, machine := range ids {
		if len(machine) > maxID {
			machine = ""
		}
		_, err := h.factory.Power(c.Request().Context(), scope, models.MachineID(machine), op)
		switch {
		case err == nil:
			done++
		case errors.Is(err, models.ErrConflict), errors.Is(err, models.ErrNotFound), errors.Is(err, models.ErrQuota):
			refused = append(refused, sentence(err))
		default:
			return done, refused, err
		}
	}
	return done, refused, nil
}

// Delete asks for a machine's end; its name has to be typed.
func (h *Machines) Delete(c echo.Context, scope *models.Scope) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	typed := in.text("confirm", maxName)
	task, err := h.factory.Delete(c.Request().Context(), scope, machine, typed)
	switch {
	case errors.Is(err, models.ErrInvalid):
		return h.again(c, scope, machine, err, func(p *views.MachineProps) {
			p.DeleteTyped, p.DeleteError = typed, models.FieldsOf(err)["confirm"]
		})
	case errors.Is(err, models.ErrConflict), errors.Is(err, models.ErrQuota):
		return h.again(c, scope, machine, err, nil)
	case err != nil:
		return err
	}
	return h.leave(c, place(scope).Machine(machine), ui.Good, task.MachineName+" is being deleted.")
}

// sentence is what a known failure says to the user.
func sentence(err error) string {
	var e *models.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

// cameFrom is the machine list that the form was on, with its filter, so that
// one stays there; else the page given.
func cameFrom(c echo.Context, scope *models.Scope, otherwise string) string {
	u, err := url.Parse(c.Request().Referer())
	if err != nil || u.Host != c.Request().Host || u.Path != place(scope).Machines() {
		return otherwise
	}
	return localPath(u.RequestURI())
}
