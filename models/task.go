package models

import (
	"errors"
	"maps"
	"time"

	"gorm.io/gorm"
)

// TaskKind is what a Task does. One kind of job each.
type TaskKind string

const (
	TaskCreate TaskKind = "machine.create"
	TaskPower  TaskKind = "machine.power"
	TaskDelete TaskKind = "machine.delete"
	TaskMedia  TaskKind = "machine.media"  // insert or eject the virtual CD
	TaskRetire TaskKind = "machine.retire" // a policy's scale-in: its node is drained, then it goes
	TaskClear  TaskKind = "network.clear"  // a deleted network's port group
)

// TaskKinds lists them, in the order of a menu.
var TaskKinds = []TaskKind{TaskCreate, TaskPower, TaskMedia, TaskDelete, TaskRetire, TaskClear}

// StepState is where one step of a Task stands.
type StepState string

const (
	StepPending StepState = "pending"
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
	StepSkipped StepState = "skipped"
)

// Task is a user-visible piece of background work on one machine, or on what
// is left of one network.
type Task struct {
	ID          TaskID `gorm:"primaryKey"`
	OrgID       OrgID
	MachineID   MachineID `gorm:"default:null"`
	NetworkID   NetworkID `gorm:"default:null"`
	MachineName string    // the network's, of TaskClear
	Kind        TaskKind
	Op          PowerOp // of TaskPower
	Media       string  // of TaskMedia: the ISO file to insert, "" to eject
	State       TaskState
	Percent     int    // of the whole, 0–100
	Waiting     string // why nothing moves just now, in a sentence; "" when it does
	ErrorCode   string // the failed step's fault
	ErrorText   string // what went wrong and what can be done, in sentences
	Detail      string // vSphere's own words, for the operator
	Undone      bool   // a failed create whose traces were removed
	ActorID     UserID
	ActorName   string
	ActorKind   ActorKind
	SessionID   SessionID
	Source      string
	RequestID   string
	RetryOf     TaskID
	CreatedAt   time.Time
	StartedAt   *time.Time
	FinishedAt  *time.Time
}

// Actor is the user for whom the Task works, as its last event names them.
func (t *Task) Actor() Actor {
	return Actor{Kind: t.ActorKind, ID: string(t.ActorID), Name: t.ActorName,
		SessionID: t.SessionID, Source: t.Source, RequestID: t.RequestID}
}

// Object is how the history names the Task.
func (t *Task) Object() Object { return Object{Kind: "task", ID: string(t.ID), Name: t.MachineName} }

// TaskStep is one step, in order of Position. Name is the worker's key, Title
// is for people.
type TaskStep struct {
	OrgID      OrgID
	TaskID     TaskID `gorm:"primaryKey"`
	Position   int    `gorm:"primaryKey"`
	Name       string
	Title      string
	State      StepState
	Percent    int
	Reference  string // what the step waits for: a vSphere task; never shown to tenants
	StartedAt  *time.Time
	FinishedAt *time.Time
}

// TaskLog is one line of a Task's log.
type TaskLog struct {
	ID     string `gorm:"primaryKey"`
	OrgID  OrgID
	TaskID TaskID
	At     time.Time
	Text   string
}

// StepSpec names a step of a Task to be.
type StepSpec struct{ Name, Title string }

// TaskDetail is a Task with its steps and log.
type TaskDetail struct {
	Task
	Steps []TaskStep
	Log   []TaskLog
}

// TaskFilter narrows the list. Empty fields don't.
type TaskFilter struct {
	State   TaskState
	Active  bool // queued, running and cancelling ones only
	Kind    TaskKind
	Machine MachineID
	Search  string // part of the machine's or the actor's name
	Page    Paging
}

// InsertTask stores a Task with its steps, queued, for the Writer's actor. A
// machine that has an active Task already is a conflict: the partial unique
// index decides. It takes one of the org's running tasks, which MoveTask gives
// back at the end.
func (w *Writer) InsertTask(t *Task, steps []StepSpec) error {
	t.ID, t.CreatedAt, t.State = NewID[TaskID](), Now(), TaskQueued
	t.ActorID, t.ActorName = UserID(w.actor.ID), w.actor.Name
	t.ActorKind = w.actor.Kind
	t.SessionID, t.Source, t.RequestID = w.actor.SessionID, w.actor.Source, w.actor.RequestID
	if err := w.tx.Create(t).Error; err != nil {
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			if t.NetworkID != "" {
				return Conflict("Something is already being done to what is left of this network.")
			}
			return Conflict("Something is already being done to this machine. Wait until its task has ended.")
		}
		return err
	}
	// After the row: whoever waits for the index must not hold the quota that
	// the Task which has it is about to give back.
	if err := w.TakeQuota(Amounts{ResourceTasks: 1}); err != nil {
		return err
	}
	rows := make([]TaskStep, len(steps))
	for i, s := range steps {
		rows[i] = TaskStep{TaskID: t.ID, Position: i, Name: s.Name, Title: s.Title, State: StepPending}
	}
	if err := w.tx.Create(&rows).Error; err != nil {
		return err
	}
	w.touchTask(t)
	return nil
}

// MoveTask is the only writer of a Task's state; further columns go with it.
func (w *Writer) MoveTask(t *Task, to TaskState, set map[string]any) error {
	values := map[string]any{"state": to}
	maps.Copy(values, set)
	switch {
	case to == TaskRunning:
		values["started_at"] = Now()
	case !to.Active():
		values["finished_at"] = Now()
		values["waiting"] = ""
	}
	if err := overtaken(w.tx.Model(&Task{}).Where("id = ? AND state IN ?", t.ID, taskSources(to)).Updates(values)); err != nil {
		return err
	}
	t.State = to
	w.touchTask(t)
	if !to.Active() {
		return w.ReturnQuota(Amounts{ResourceTasks: 1})
	}
	return nil
}

// SetTask stores the progress of a Task that has not ended.
func (w *Writer) SetTask(t *Task, set map[string]any) error {
	if _, ok := set["state"]; ok {
		return errors.New("models: a task's state is changed by MoveTask")
	}
	w.touchTask(t)
	return overtaken(w.tx.Model(&Task{}).Where("id = ? AND state IN ?", t.ID, ActiveTaskStates).Updates(set))
}

// stillActive keeps a worker that was overtaken, by a cancel or by another
// node, from writing into a Task that has ended.
const stillActive = "EXISTS (SELECT 1 FROM tasks WHERE tasks.id = ? AND tasks.state IN ?)"

// SetStep stores the progress of a step.
func (w *Writer) SetStep(t *Task, position int, set map[string]any) error {
	w.touchTask(t)
	return overtaken(w.tx.Model(&TaskStep{}).Where("task_id = ? AND position = ?", t.ID, position).
		Where(stillActive, t.ID, ActiveTaskStates).Updates(set))
}

func overtaken(done *gorm.DB) error {
	if done.Error == nil && done.RowsAffected == 0 {
		return Conflict("The task has moved on. Look at it again.")
	}
	return done.Error
}

// LogTask adds a line to the log of a Task that has not ended.
func (w *Writer) LogTask(t *Task, text string) error {
	w.touchTask(t)
	var active int64
	err := w.tx.Model(&Task{}).Where("id = ? AND state IN ?", t.ID, ActiveTaskStates).Count(&active).Error
	if err != nil {
		return err
	}
	if active == 0 {
		return Conflict("The task has moved on. Look at it again.")
	}
	return w.tx.Create(&TaskLog{ID: NewID[string](), TaskID: t.ID, At: Now(), Text: text}).Error
}

func (w *Writer) touchTask(t *Task) {
	w.touch("task", string(t.ID))
	if t.MachineID != "" {
		w.touch("machine", string(t.MachineID))
	}
}

// Task returns one with steps and log.
func (r *Reader) Task(id TaskID) (TaskDetail, error) {
	var d TaskDetail
	if err := r.tx.Take(&d.Task, "id = ?", id).Error; err != nil {
		return d, absent(err, "task")
	}
	if err := r.tx.Order("position").Find(&d.Steps, "task_id = ?", id).Error; err != nil {
		return d, err
	}
	return d, r.tx.Order("id").Find(&d.Log, "task_id = ?", id).Error
}

// LatestTask returns the machine's newest Task, or ErrNotFound.
func (r *Reader) LatestTask(machine MachineID) (TaskDetail, error) {
	var t Task
	if err := r.tx.Where("machine_id = ?", machine).Order("id DESC").Take(&t).Error; err != nil {
		return TaskDetail{}, absent(err, "task")
	}
	return r.Task(t.ID)
}

func (f TaskFilter) narrow(q *gorm.DB) *gorm.DB {
	if f.State != "" {
		q = q.Where("state = ?", f.State)
	}
	if f.Active {
		q = q.Where("state IN ?", ActiveTaskStates)
	}
	if f.Kind != "" {
		q = q.Where("kind = ?", f.Kind)
	}
	if f.Machine != "" {
		q = q.Where("machine_id = ?", f.Machine)
	}
	if f.Search != "" {
		like := likeText(f.Search)
		q = q.Where(`(LOWER(machine_name) LIKE ? ESCAPE '\' OR LOWER(actor_name) LIKE ? ESCAPE '\')`, like, like)
	}
	return q
}

// Tasks returns a page of Tasks, newest first.
func (r *Reader) Tasks(f TaskFilter) (Page[Task], error) {
	return fetchPage(f.narrow(r.tx.Model(&Task{})), f.Page, keyset{table: "tasks", descending: true}, find[Task],
		func(t *Task) (string, string) { return "", string(t.ID) })
}
