package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// Media shows what may be put into the machine's virtual CD drive.
func (h *Machines) Media(c echo.Context, scope *models.Scope) error {
	return h.media(c, scope, http.StatusOK, "", "")
}

func (h *Machines) media(c echo.Context, scope *models.Scope, status int, chosen, problem string) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	p := views.MediaProps{Chosen: chosen, Problem: problem}
	p.Frame, err = h.page(c, scope, func(r *models.Reader) (err error) {
		p.Machine, err = r.Machine(machine)
		return err
	})
	if err != nil {
		return err
	}
	library, err := h.factory.Library(c.Request().Context(), scope, machine)
	var away *models.Error
	switch {
	case errors.As(err, &away) && away.Code == models.CodeDown:
		p.Away = away.Message
	case err != nil:
		return err
	}
	p.Inserted, p.HasDrive = library.Media.ISO, library.Media.HasDrive
	for _, f := range library.Files {
		p.Files = append(p.Files, views.MediaFile{Name: f.Name, SizeBytes: f.SizeBytes})
	}
	if views.Part(c.Request()) == views.PartMenu {
		return Render(c, status, views.MediaMenu(p))
	}
	return Render(c, status, views.Media(p))
}

// ChangeMedia inserts a file of the library, or ejects.
func (h *Machines) ChangeMedia(c echo.Context, scope *models.Scope) error {
	machine, err := id[models.MachineID](c, "machine")
	if err != nil {
		return err
	}
	in, err := form(c)
	if err != nil {
		return err
	}
	iso, eject := in.text("iso", maxISO), in.text("eject", maxName) == "yes"
	if iso == "" && !eject && in.problems["iso"] == "" {
		in.problems["iso"] = "Choose a file to insert."
	}
	err = in.err()
	var task models.Task
	if err == nil {
		if eject {
			iso = ""
		}
		task, err = h.factory.Media(c.Request().Context(), scope, machine, iso)
	}
	switch {
	case errors.Is(err, models.ErrInvalid) && !scripted(c):
		return h.media(c, scope, http.StatusUnprocessableEntity, iso, models.FieldsOf(err)["iso"])
	case err != nil:
		return err
	}
	told := task.Media + " is being inserted into " + task.MachineName + "."
	if task.Media == "" {
		told = "The CD of " + task.MachineName + " is being ejected."
	}
	return h.asked(c, place(scope).Machine(machine), task, told)
}
