package factory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

func (r *rig) media(id models.MachineID, iso string, to models.TaskState) models.TaskDetail {
	r.t.Helper()
	_, err := r.factory.Media(context.Background(), r.scope, id, iso)
	r.must(err)
	return r.ends(id, to)
}

// drive is what the vCenter says is in the one machine's drive.
func (r *rig) drive() string {
	r.t.Helper()
	list := r.vcenter.machines()
	if len(list) != 1 {
		r.t.Fatalf("%d machines", len(list))
	}
	return list[0].CD
}

func TestVirtualCDIsInsertedAndEjected(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		const iso = "shared/debian-13.4.0-amd64-netinst.iso"
		r := build(t, db, Options{})
		r.start()
		m := r.running("web")
		library, err := r.factory.Library(context.Background(), r.scope, m.ID)
		r.must(err)
		var names []string
		for _, f := range library.Files {
			names = append(names, f.Name)
			if f.SizeBytes == 0 {
				t.Errorf("%s has no size", f.Name)
			}
		}
		if !slices.Contains(names, iso) || !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "acme/") }) ||
			slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "globex/") }) || !library.Media.HasDrive || library.Media.ISO != "" {
			t.Fatalf("acme's library is %q, its drive %+v", names, library.Media)
		}
		task := r.media(m.ID, iso, models.TaskSucceeded)
		if task.Steps[0].Title != "Insert "+iso || r.machine(m.ID).Media != iso || r.drive() != "[datastore1] iso/"+iso {
			t.Errorf("after the insert: %q, record %q, drive %q", task.Steps[0].Title, r.machine(m.ID).Media, r.drive())
		}
		if library, err := r.factory.Library(context.Background(), r.scope, m.ID); err != nil || library.Media.ISO != iso {
			t.Errorf("the drive holds %+v: %v", library.Media, err)
		}
		// The guest has locked its drive: vSphere asks, and is answered.
		r.vcenter.faults(lab.FaultRequest{LockDoor: r.vcenter.machines()[0].Name})
		r.media(m.ID, "", models.TaskSucceeded)
		if r.machine(m.ID).Media != "" || r.drive() != "" {
			t.Errorf("after the eject: record %q, drive %q", r.machine(m.ID).Media, r.drive())
		}
		r.media(m.ID, "", models.TaskSucceeded) // an empty drive is what was asked for
		told := r.outcomes(m.ID)
		if !slices.ContainsFunc(told, func(line string) bool { return strings.Contains(line, "machine.media") }) {
			t.Errorf("history: %q", told)
		}
	})
}

func TestFileThatIsNotThereIsTold(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.SQLite(t), Options{})
	r.start()
	m := r.running("web")
	task := r.media(m.ID, "shared/nothing.iso", models.TaskFailed)
	if !strings.Contains(task.ErrorText, "library") || strings.Contains(task.ErrorText, "datastore1") {
		t.Errorf("the task says %q", task.ErrorText)
	}
	for _, iso := range []string{"globex/globex-rescue-1.0.iso", "../acme/x.iso", "acme/../globex/x.iso", "shared/x.vmdk", "[datastore1] iso/shared/x.iso", "shared/a/b.iso", "/shared/x.iso"} {
		if _, err := r.factory.Media(context.Background(), r.scope, m.ID, iso); !errors.Is(err, models.ErrInvalid) {
			t.Errorf("%q: %v", iso, err)
		}
	}
}
