package models

import "slices"

// MachineState is where a machine stands. A change in flight is the machine's
// one active Task, not a state.
//
//	building ──▶ running ⇄ stopped ⇄ suspended ──▶ deleting ──▶ deleted
//	   │  ╲          any settled state ⇄ missing      │
//	   ▼   ▶ deleted (cancelled create)               ▼
//	 failed ──(retry)──▶ building                   failed
type MachineState string

const (
	// MachineBuilding: entered by an accepted order or its retry; left by the
	// create Task when it ends.
	MachineBuilding MachineState = "building"
	// MachineRunning: entered by create, start, resume, or the feed.
	MachineRunning MachineState = "running"
	// MachineStopped: entered by stop, shutdown, or the feed.
	MachineStopped MachineState = "stopped"
	// MachineSuspended: entered by suspend, or the feed.
	MachineSuspended MachineState = "suspended"
	// MachineFailed: entered by a create that was undone, or a delete that
	// could not finish; left by retry or delete.
	MachineFailed MachineState = "failed"
	// MachineMissing: gone in vCenter by other hands; left when it is seen
	// again, or by delete.
	MachineMissing MachineState = "missing"
	// MachineDeleting: entered by an accepted delete; left by its Task.
	MachineDeleting MachineState = "deleting"
	// MachineDeleted: the end. The page is 404, the history stays.
	MachineDeleted MachineState = "deleted"
)

// machineTransitions is every legal change of state: from → to.
var machineTransitions = map[MachineState][]MachineState{
	MachineBuilding:  {MachineRunning, MachineFailed, MachineDeleted},
	MachineRunning:   {MachineStopped, MachineSuspended, MachineMissing, MachineDeleting},
	MachineStopped:   {MachineRunning, MachineSuspended, MachineMissing, MachineDeleting},
	MachineSuspended: {MachineRunning, MachineStopped, MachineMissing, MachineDeleting},
	MachineMissing:   {MachineRunning, MachineStopped, MachineSuspended, MachineDeleted, MachineDeleting},
	MachineFailed:    {MachineBuilding, MachineDeleting},
	MachineDeleting:  {MachineDeleted, MachineFailed},
	MachineDeleted:   {},
}

// Settled says whether an operation may be asked for: no build, no delete.
func (s MachineState) Settled() bool {
	switch s {
	case MachineRunning, MachineStopped, MachineSuspended, MachineFailed, MachineMissing:
		return true
	default:
		return false
	}
}

// machineSources lists the states from which to can be entered.
func machineSources(to MachineState) []MachineState {
	var from []MachineState
	for _, s := range MachineStates {
		for _, t := range machineTransitions[s] {
			if t == to {
				from = append(from, s)
			}
		}
	}
	return from
}

// MachineStates lists every state in the order of a machine's life.
var MachineStates = []MachineState{
	MachineBuilding, MachineRunning, MachineStopped, MachineSuspended,
	MachineMissing, MachineFailed, MachineDeleting, MachineDeleted,
}

// TaskState is where a piece of background work stands.
//
//	queued ──▶ running ──▶ succeeded | failed
//	  │           └──▶ cancelling ──▶ cancelled | succeeded | failed
//	  └──▶ cancelled
type TaskState string

const (
	TaskQueued     TaskState = "queued"     // accepted, no worker has begun
	TaskRunning    TaskState = "running"    // a worker walks its steps
	TaskCancelling TaskState = "cancelling" // somebody asked to stop; the worker stops at the next border
	TaskSucceeded  TaskState = "succeeded"
	TaskFailed     TaskState = "failed" // which step and why are in the row
	TaskCancelled  TaskState = "cancelled"
)

var taskTransitions = map[TaskState][]TaskState{
	TaskQueued:     {TaskRunning, TaskCancelled, TaskFailed},
	TaskRunning:    {TaskSucceeded, TaskFailed, TaskCancelling},
	TaskCancelling: {TaskCancelled, TaskSucceeded, TaskFailed},
}

func taskSources(to TaskState) []TaskState {
	var from []TaskState
	for _, s := range ActiveTaskStates {
		for _, t := range taskTransitions[s] {
			if t == to {
				from = append(from, s)
			}
		}
	}
	return from
}

// ActiveTaskStates are those that hold the machine; the partial unique index
// task_one_active_per_machine lists the same.
var ActiveTaskStates = []TaskState{TaskQueued, TaskRunning, TaskCancelling}

// Active says whether the Task still holds its machine.
func (s TaskState) Active() bool {
	return s == TaskQueued || s == TaskRunning || s == TaskCancelling
}

// PowerOp is what a user may ask of a machine's power.
type PowerOp string

const (
	PowerStart    PowerOp = "start"
	PowerStop     PowerOp = "stop"     // hard: pulls the plug
	PowerShutdown PowerOp = "shutdown" // asks the guest
	PowerReset    PowerOp = "reset"
	PowerSuspend  PowerOp = "suspend"
	PowerResume   PowerOp = "resume"
)

// PowerRule says from which states an op may be asked, and what it leads to.
type PowerRule struct {
	From []MachineState
	To   MachineState
}

// PowerRules is the whole menu of power operations.
var PowerRules = map[PowerOp]PowerRule{
	PowerStart:    {From: []MachineState{MachineStopped}, To: MachineRunning},
	PowerStop:     {From: []MachineState{MachineRunning, MachineSuspended}, To: MachineStopped},
	PowerShutdown: {From: []MachineState{MachineRunning}, To: MachineStopped},
	PowerReset:    {From: []MachineState{MachineRunning}, To: MachineRunning},
	PowerSuspend:  {From: []MachineState{MachineRunning}, To: MachineSuspended},
	PowerResume:   {From: []MachineState{MachineSuspended}, To: MachineRunning},
}

// PowerOps lists the ops in the order of a menu.
var PowerOps = []PowerOp{PowerStart, PowerResume, PowerShutdown, PowerReset, PowerSuspend, PowerStop}

// AllowedFrom says whether op can be asked of a machine in state s.
func (op PowerOp) AllowedFrom(s MachineState) bool {
	return slices.Contains(PowerRules[op].From, s)
}
