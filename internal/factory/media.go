package factory

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// sharedMedia is the library's folder for every org.
const sharedMedia = "shared"

// answerEvery is how often a machine is looked at for a question, while its CD
// is being changed.
const answerEvery = time.Second

// mediaName is a file of the library: folder and file, nothing that leads out.
var mediaName = regexp.MustCompile(`^([a-z][a-z0-9-]{1,30})/[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,120}\.iso$`)

// mayInsert says whether the name is one of the org's own files, or of all.
func mayInsert(iso, org string) bool {
	parts := mediaName.FindStringSubmatch(iso)
	return parts != nil && (parts[1] == org || parts[1] == sharedMedia)
}

// Library is what may be put into an org's machine, and what is in it.
type Library struct {
	Files []vsphere.ISO
	Media vsphere.Media
}

// Library asks the machine's cloud, which may take a moment.
func (f *Factory) Library(ctx context.Context, scope *models.Scope, id models.MachineID) (Library, error) {
	var m models.MachineRow
	err := scope.Read(ctx, func(r *models.Reader) (err error) {
		m, err = r.Machine(id)
		return err
	})
	if err != nil {
		return Library{}, err
	}
	away := &models.Error{Code: models.CodeDown, Message: m.CloudName + " does not answer just now, so its ISO library can't be listed."}
	client, ok := f.clouds.get(m.CloudID)
	if !ok {
		return Library{}, away
	}
	var l Library
	if l.Media, err = client.Media(ctx, id.InstanceUUID()); err == nil {
		l.Files, err = client.ISOs(ctx, []string{scope.Org().Slug, sharedMedia})
	}
	if err != nil {
		away.Err = err
		return l, away
	}
	// A name that couldn't be asked for is not offered.
	files := l.Files[:0]
	for _, file := range l.Files {
		if mayInsert(file.Name, scope.Org().Slug) {
			files = append(files, file)
		}
	}
	l.Files = files
	return l, nil
}

// Media accepts a change of the machine's virtual CD: the file of the library
// to insert, "" to eject.
func (f *Factory) Media(ctx context.Context, scope *models.Scope, id models.MachineID, iso string) (models.Task, error) {
	return f.media(ctx, scope, id, iso, "")
}

func (f *Factory) media(ctx context.Context, scope *models.Scope, id models.MachineID, iso string, retryOf models.TaskID) (models.Task, error) {
	if iso != "" && !mayInsert(iso, scope.Org().Slug) {
		return models.Task{}, models.Invalid(map[string]string{"iso": "There is no such file in the library. Choose one of the list."})
	}
	var (
		t      models.Task
		object models.Object
	)
	err := scope.Change(ctx, func(w *models.Writer) error {
		m, err := w.Machine(id)
		if err != nil {
			return err
		}
		object = m.Object()
		switch m.State {
		case models.MachineRunning, models.MachineStopped:
		case models.MachineSuspended:
			return models.Conflict(fmt.Sprintf("%s is suspended. Resume it to change its CD.", m.Name))
		default:
			return models.Conflict(fmt.Sprintf("%s is %s; its CD can't be changed now.", m.Name, m.State))
		}
		t = models.Task{MachineID: m.ID, MachineName: m.Name, Kind: models.TaskMedia, Media: iso, RetryOf: retryOf}
		return f.begin(ctx, w, &t, models.Event{
			Action: models.ActionMachineMedia, Object: object, Outcome: models.OutcomeAccepted,
			Before: map[string]any{"iso": m.Media}, After: map[string]any{"iso": iso},
		})
	})
	return t, f.refuse(ctx, scope, models.ActionMachineMedia, object, err)
}

func mediaOperation() *operation {
	return &operation{
		steps: []step{
			{name: "media", title: "Change the CD", failing: "The CD could not be changed", weight: 90, run: changeMedia},
			{name: "check", title: "Look into the drive", failing: "The drive could not be looked into", weight: 10, quick: true, late: true, run: checkMedia},
		},
		retitle: func(t *models.Task, s step) string {
			switch {
			case s.name != "media":
				return s.title
			case t.Media == "":
				return "Eject the CD"
			default:
				return "Insert " + t.Media
			}
		},
		finish: func(w *models.Writer, v *visit) error {
			if err := w.SetMachine(v.task.MachineID, map[string]any{"media": v.task.Media}); err != nil {
				return err
			}
			return w.Record(models.Event{
				Action: models.ActionMachineMedia, Object: v.facts.machine.Object(), Outcome: models.OutcomeSucceeded,
				Before: map[string]any{"iso": v.facts.machine.Media}, After: map[string]any{"iso": v.task.Media},
			})
		},
		end: func(w *models.Writer, e *ending) error {
			after := map[string]any{"iso": e.task.Media, "reason": e.problem.text}
			if e.to == models.TaskCancelled {
				after["reason"] = "cancelled"
			}
			err := w.Record(models.Event{
				Action: models.ActionMachineMedia, Object: e.machine.Object(), Outcome: models.OutcomeFailed, After: after})
			if err != nil {
				return err
			}
			return w.MoveTask(e.task, e.to, nil)
		},
	}
}

func changeMedia(ctx context.Context, v *visit) error {
	vm, err := v.locate(ctx)
	if err != nil {
		return v.vanished(err)
	}
	answering, stop := context.WithCancel(ctx)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		v.answerEject(answering, vm.Ref)
	}()
	err = v.perform(ctx, func(ctx context.Context) (vsphere.TaskRef, error) {
		return v.client.StartMedia(ctx, vm.Ref, v.task.Media)
	})
	stop()
	<-answered
	switch {
	case err == nil:
		return nil
	case vsphere.CodeOf(err) == vsphere.CodeInvalidSpec && !vsphere.IsVerdict(err):
		return problem{code: "no_cd_drive", detail: err.Error(), text: fmt.Sprintf(
			"%s has no virtual CD drive. Ask your provider to add one to the machine or to its template.", v.task.MachineName)}
	case vsphere.IsVerdict(err) && !vsphere.IsTransient(err):
		return problem{code: "cd_refused", detail: err.Error(), text: fmt.Sprintf(
			"%s did not take the change of its CD. The file may have been removed from the library: look at the list again.", v.task.MachineName)}
	}
	return v.vanished(err)
}

// answerEject sees to it that a guest which has locked its drive does not hold
// the change up: vSphere asks, and waits for an answer for ever.
func (v *visit) answerEject(ctx context.Context, ref string) {
	look := time.NewTicker(answerEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		answered, err := v.client.AnswerEject(ctx, ref)
		switch {
		case err != nil && ctx.Err() == nil:
			v.f.log.InfoContext(ctx, "a question about a CD was not answered", "task", v.task.ID, "error", err)
		case answered:
			v.f.log.InfoContext(ctx, "the guest had locked its CD drive; it was opened", "task", v.task.ID)
		}
	}
}

func checkMedia(ctx context.Context, v *visit) error {
	media, err := v.client.Media(ctx, v.facts.machine.ID.InstanceUUID())
	if err != nil {
		return v.vanished(err)
	}
	if media.ISO != v.task.Media {
		return problem{code: "cd_changed", text: fmt.Sprintf(
			"The drive of %s holds something else than was asked for: it was changed by other hands. Look again.", v.task.MachineName)}
	}
	return nil
}
