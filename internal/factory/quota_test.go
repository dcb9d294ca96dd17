package factory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// agrees recomputes every bar of every org from the records.
func (r *rig) agrees(after string) {
	r.t.Helper()
	rows, err := r.System.CheckQuotas(context.Background())
	r.must(err)
	if len(rows) != 2*len(models.Resources) {
		r.t.Fatalf("%d bars", len(rows))
	}
	for _, row := range rows {
		if !row.Agrees() || row.Used > row.Ceiling {
			r.t.Fatalf("after %s: %s of %s: %d of %d used, the records account for %d\n%s",
				after, row.Resource, row.OrgSlug, row.Used, row.Ceiling, row.Counted, r.report())
		}
	}
}

// TestBarsAgreeWithTheRecordsWhateverHappens drives orders, cancels, deletes,
// retries, power operations, failures, workers killed at any of their writes
// and consoles, in any order, and counts after each.
func TestBarsAgreeWithTheRecordsWhateverHappens(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		const seed = 20261127
		dice := rand.New(rand.NewPCG(seed, 1)) // #nosec G404 -- the same walk every time
		r := build(t, db, Options{}, "--clone-delay", "5ms")
		walk := walker{rig: r, dice: dice, done: map[string]int{}}
		limits := models.Limits{models.ResourceMachines: 6, models.ResourceVCPUs: 8, models.ResourceMemory: 1 << 16,
			models.ResourceStorage: 1 << 12, models.ResourceTasks: 3, models.ResourceConsoles: 2}
		_, err := r.System.PutOrg(context.Background(), "acme", "Acme", limits)
		r.must(err)
		for i := range 400 {
			what, err := walk.step(i)
			switch {
			case err == nil:
				walk.done[what]++
			case errors.Is(err, models.ErrQuota), errors.Is(err, models.ErrConflict):
				walk.done[what+" refused"]++
			case !errors.Is(err, models.ErrNotFound):
				t.Fatalf("%s: %v", what, err)
			}
			r.agrees(fmt.Sprintf("step %d, %s (%v)", i, what, err))
		}
		for _, what := range []string{"order", "order refused", "cancel", "delete", "power", "kill", "work", "open", "close", "fail", "retry"} {
			if walk.done[what] == 0 {
				t.Errorf("the walk never came to %q: %v", what, walk.done)
			}
		}
	})
}

type walker struct {
	*rig

	dice  *rand.Rand
	tasks []models.TaskID
	open  []models.ConsoleSession
	done  map[string]int
}

func (w *walker) pick() models.Task {
	w.t.Helper()
	if len(w.tasks) == 0 {
		return models.Task{}
	}
	var d models.TaskDetail
	id := w.tasks[w.dice.IntN(len(w.tasks))]
	w.must(w.scope.Read(context.Background(), func(r *models.Reader) (err error) {
		d, err = r.Task(id)
		return err
	}))
	return d.Task
}

func (w *walker) began(t models.Task, err error) error {
	if err == nil {
		w.tasks = append(w.tasks, t.ID)
	}
	return err
}

func (w *walker) step(i int) (what string, err error) {
	ctx := context.Background()
	switch n := w.dice.IntN(13); n {
	case 0, 1, 2:
		made, err := w.factory.Order(ctx, w.scope, models.Order{
			Name: fmt.Sprintf("w-%d", i), Template: "debian-13", InstanceType: "small", Cloud: "public", Count: 1 + w.dice.IntN(2),
		})
		for _, m := range made {
			w.tasks = append(w.tasks, w.latest(m.ID).ID)
		}
		return "order", err
	case 3:
		return "cancel", w.factory.Cancel(ctx, w.scope, w.pick().ID)
	case 4:
		t := w.pick()
		return "delete", w.began(w.factory.Delete(ctx, w.scope, t.MachineID, t.MachineName))
	case 5:
		return "power", w.began(w.factory.Power(ctx, w.scope, w.pick().MachineID, []models.PowerOp{models.PowerStop, models.PowerStart}[w.dice.IntN(2)]))
	case 6:
		t := w.pick()
		for range 20 { // most are of no use to a retry
			if t.State == models.TaskFailed {
				break
			}
			t = w.pick()
		}
		return "retry", w.began(w.factory.Retry(ctx, w.scope, t.ID))
	case 7:
		if w.dice.IntN(3) > 0 {
			return "nothing", nil
		}
		method := []string{"CloneVM_Task", "PowerOnVM_Task", "Destroy_Task"}[w.dice.IntN(3)]
		w.vcenter.faults(lab.FaultRequest{Fail: []lab.Fault{{Method: method, Task: true, Type: "NoDiskSpace"}}})
		return "fail", nil
	case 8:
		c, err := w.System.OpenConsole(ctx, w.grant(), "test", models.ConsoleLimits{})
		if err == nil {
			w.open = append(w.open, c)
		}
		return "open", err
	case 9:
		if len(w.open) == 0 {
			return "nothing", nil
		}
		c := w.open[w.dice.IntN(len(w.open))] // perhaps one that is closed already
		if w.dice.IntN(3) == 0 {
			return "close", w.System.CloseStaleConsoles(ctx, "test")
		}
		return "close", w.System.CloseConsole(ctx, c, models.SystemActor, models.Object{Kind: "machine"}, "closed", 1, 2)
	case 10: // the worker is killed at one of its writes
		t := w.pick()
		if !t.State.Active() {
			return "nothing", nil
		}
		w.dieAt(1 + w.dice.IntN(8))
		_, _ = w.visitOnce(t.ID)
		w.border.Store(nil)
		return "kill", nil
	default:
		t := w.pick()
		if t.State.Active() {
			w.workOff(t.MachineID)
		}
		return "work", nil
	}
}

func (w *walker) grant() models.ConsoleGrant {
	t := w.pick()
	m := models.Machine{ID: t.MachineID, Name: t.MachineName}
	if t.ID == "" {
		m = w.Machine(w.t, "screen")
	}
	return models.ConsoleGrant{
		Ticket:  models.ConsoleTicket{OrgID: w.Acme.ID, MachineID: m.ID, UserID: w.scope.UserID(), Mode: models.ConsoleOperate},
		Machine: m, Role: models.RoleUser, Actor: w.scope.Actor(),
	}
}

// atOnce runs n of the same at the same time, and counts how each ended.
func atOnce(n int, do func(i int) error) (done int, refused []string, others []error) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i := range n {
		wg.Go(func() {
			err := do(i)
			mu.Lock()
			defer mu.Unlock()
			var why *models.Error
			switch {
			case err == nil:
				done++
			case errors.Is(err, models.ErrQuota) && errors.As(err, &why):
				refused = append(refused, why.Message)
			default:
				others = append(others, err)
			}
		})
	}
	wg.Wait()
	return done, refused, others
}

// TestHundredOrdersOnRoomForTenMakeTen: of a hundred orders at the same time
// exactly ten are taken, and ninety are told why not.
func TestHundredOrdersOnRoomForTenMakeTen(t *testing.T) {
	t.Parallel()
	for res, sentence := range map[models.Resource]string{
		models.ResourceMachines: "of the org's 10 are taken", models.ResourceTasks: "may have 10 at once",
	} {
		t.Run(string(res), func(t *testing.T) {
			t.Parallel()
			testkit.Databases(t, func(t *testing.T, db *models.DB) {
				r := unworked(t, db)
				limits := maps.Clone(testkit.RoomyLimits)
				limits[res] = 10
				_, err := r.System.PutOrg(context.Background(), "acme", "Acme", limits)
				r.must(err)
				done, refused, others := atOnce(100, func(i int) error {
					_, err := r.factory.Order(context.Background(), r.scope, models.Order{
						Name: fmt.Sprintf("m-%d", i), Template: "debian-13", InstanceType: "small"})
					return err
				})
				if done != 10 || len(refused) != 90 || len(others) != 0 {
					t.Fatalf("%d taken, %d refused, and %v", done, len(refused), others)
				}
				for _, text := range refused {
					if !strings.Contains(text, sentence) {
						t.Fatalf("refused with %q", text)
					}
				}
				r.agrees("a hundred orders")
				r.refusals(map[models.Action]int{models.ActionMachineCreate: 90})
			})
		})
	}
}

// TestCeilingThatMovesWhileOrdersComeIsKept: whatever the ceiling is at the
// moment, no order passes it, and no bar goes astray.
func TestCeilingThatMovesWhileOrdersComeIsKept(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := unworked(t, db)
		set := func(n int64) error {
			limits := maps.Clone(testkit.RoomyLimits)
			limits[models.ResourceMachines] = n
			_, err := r.System.PutOrg(context.Background(), "acme", "Acme", limits)
			return err
		}
		r.must(set(5))
		done, _, others := atOnce(60, func(i int) error {
			if i%6 == 0 {
				return set(5 + int64(i%4))
			}
			_, err := r.factory.Order(context.Background(), r.scope, models.Order{
				Name: fmt.Sprintf("m-%d", i), Template: "debian-13", InstanceType: "small"})
			return err
		})
		if len(others) != 0 || done < 5+10 || done > 8+10 { // ten of them set the ceiling
			t.Errorf("%d done, and %v", done, others)
		}
		r.must(set(8))
		r.agrees("the moving ceiling")
	})
}

// unworked is a rig without vCenter and workers: what is accepted stays queued.
func unworked(t *testing.T, db *models.DB) *rig {
	t.Helper()
	r := &rig{t: t, World: testkit.NewWorld(t, db), vcenter: &simulated{}}
	r.scope = r.Scope(t, "user@acme.example", "acme")
	r.vcenter.info.URL = "https://127.0.0.1:1/sdk"
	r.connect(Options{})
	return r
}
