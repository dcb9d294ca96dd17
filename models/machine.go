package models

import (
	"errors"
	"maps"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Machine is a customer's virtual machine.
type Machine struct {
	ID                 MachineID `gorm:"primaryKey"`
	OrgID              OrgID
	Name               string
	State              MachineState
	ObservedPower      string // what vCenter last said: poweredOn, poweredOff, suspended
	TemplateID         TemplateID
	InstanceTypeID     InstanceTypeID
	VCPUs              int   `gorm:"column:vcpus"`
	MemoryMiB          int   `gorm:"column:memory_mib"`
	DiskGiB            int   `gorm:"column:disk_gib"`
	PricePerHourMicros int64 // as accepted at order: menu price × the cloud's factor
	CloudID            CloudID
	NetworkID          NetworkID
	Address            string // given at order
	OwnerID            UserID
	PlacementReason    string // why this cloud, as told at order
	VMRef              string // managed object id: a hint, not stable; never shown to tenants
	Host               string // where it runs; for the operator
	ObservedAddress    string
	ToolsRunning       bool
	ObservedAt         *time.Time
	Reserved           bool   // holds quota and address; given back once
	Media              string // the ISO file that a task of ours has inserted, "" for none
	Failure            string // why it is failed, in a sentence
	CreatedAt          time.Time
	UpdatedAt          time.Time
	DeletedAt          *time.Time
}

// Amounts is what the machine takes of its org's quota.
func (m *Machine) Amounts() Amounts {
	return Amounts{
		ResourceMachines: 1, ResourceVCPUs: int64(m.VCPUs),
		ResourceMemory: int64(m.MemoryMiB), ResourceStorage: int64(m.DiskGiB),
	}
}

// Object is how the history names the machine.
func (m *Machine) Object() Object {
	return Object{Kind: "machine", ID: string(m.ID), Name: m.Name}
}

// MachineRow is a machine with the names of what it refers to and its one
// active Task, as lists and pages show it.
type MachineRow struct {
	Machine
	TemplateName     string
	TemplateIcon     string
	TemplateOS       string
	InstanceTypeName string
	CloudName        string
	CloudClass       CloudClass
	CloudStatus      CloudStatus
	CloudSeenAt      *time.Time
	NetworkName      string
	OwnerName        string
	TaskID           TaskID // "" when none is active
	TaskKind         TaskKind
	TaskOp           PowerOp
	TaskState        TaskState
	TaskPercent      int
	TaskWaiting      string
}

// MachineSort is by what a machine list is ordered.
type MachineSort string

const (
	SortNewest MachineSort = "newest"
	SortOldest MachineSort = "oldest"
	SortName   MachineSort = "name"
	SortState  MachineSort = "state"
)

// MachineSorts lists them, in the order of a menu.
var MachineSorts = []MachineSort{SortNewest, SortOldest, SortName, SortState}

// MachineFilter narrows and orders the list. Empty fields don't.
type MachineFilter struct {
	Search string // part of the name or address
	Name   string // the whole name
	State  MachineState
	Sort   MachineSort
	Page   Paging
}

// machineListed is what a list shows of a machine; a page shows all of it. A
// list of fifty with every column costs twice as much.
const (
	machineListed = `machines.id, machines.org_id, machines.name, machines.state, machines.address,
		machines.vcpus, machines.memory_mib, machines.disk_gib, machines.cloud_id, machines.owner_id, machines.created_at,
		templates.name AS template_name, templates.icon AS template_icon,
		instance_types.name AS instance_type_name,
		clouds.name AS cloud_name, clouds.class AS cloud_class, clouds.status AS cloud_status,
		COALESCE(users.name, '') AS owner_name,
		COALESCE(tasks.id, '') AS task_id, COALESCE(tasks.kind, '') AS task_kind, COALESCE(tasks.op, '') AS task_op,
		COALESCE(tasks.state, '') AS task_state, COALESCE(tasks.percent, 0) AS task_percent,
		COALESCE(tasks.waiting, '') AS task_waiting`
	machineWhole = `machines.*, templates.os AS template_os, clouds.seen_at AS cloud_seen_at, networks.name AS network_name, ` + machineListed
)

func (r *Reader) machineRows(columns string) *gorm.DB {
	q := r.tx.Model(&Machine{}).Select(columns).
		Joins("JOIN templates ON templates.id = machines.template_id").
		Joins("JOIN instance_types ON instance_types.id = machines.instance_type_id").
		Joins("JOIN clouds ON clouds.id = machines.cloud_id").
		Joins("LEFT JOIN users ON users.id = machines.owner_id").
		Joins("LEFT JOIN tasks ON tasks.machine_id = machines.id AND tasks.org_id = machines.org_id AND tasks.state IN ('queued', 'running', 'cancelling')").
		Where("machines.state <> 'deleted'")
	if columns == machineWhole {
		q = q.Joins("JOIN networks ON networks.id = machines.network_id AND networks.org_id = machines.org_id")
	}
	return q
}

// Machines returns a page of the org's machines, with the columns that a list
// shows; deleted ones are not among them.
func (r *Reader) Machines(f MachineFilter) (Page[MachineRow], error) {
	q := r.machineRows(machineListed)
	if f.State != "" {
		q = q.Where("machines.state = ?", f.State)
	}
	if f.Name != "" {
		q = q.Where("machines.name = ?", f.Name)
	}
	if f.Search != "" {
		like := likeText(f.Search)
		q = q.Where(`(LOWER(machines.name) LIKE ? ESCAPE '\' OR machines.address LIKE ? ESCAPE '\')`, like, like)
	}
	k := keyset{table: "machines"}
	value := func(*MachineRow) string { return "" }
	switch f.Sort {
	case SortName:
		k.column, value = "name", func(m *MachineRow) string { return m.Name }
	case SortState:
		k.column, value = "state", func(m *MachineRow) string { return string(m.State) }
	case SortOldest:
	default:
		k.descending = true
	}
	return fetchPage(q, f.Page, k, listMachines, func(m *MachineRow) (string, string) { return value(m), string(m.ID) })
}

// listMachines scans machineListed by hand, in its order: gorm's reflection
// takes as long for fifty rows as the database does.
func listMachines(q *gorm.DB, limit int) ([]MachineRow, error) {
	found, err := q.Rows()
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	rows := make([]MachineRow, 0, limit)
	for found.Next() {
		rows = append(rows, MachineRow{})
		m := &rows[len(rows)-1]
		// Pointers to plain strings: the driver has a short way for those.
		err := found.Scan((*string)(&m.ID), (*string)(&m.OrgID), &m.Name, (*string)(&m.State), &m.Address,
			&m.VCPUs, &m.MemoryMiB, &m.DiskGiB, (*string)(&m.CloudID), (*string)(&m.OwnerID), &m.CreatedAt,
			&m.TemplateName, &m.TemplateIcon, &m.InstanceTypeName,
			&m.CloudName, (*string)(&m.CloudClass), (*string)(&m.CloudStatus), &m.OwnerName,
			(*string)(&m.TaskID), (*string)(&m.TaskKind), (*string)(&m.TaskOp), (*string)(&m.TaskState), &m.TaskPercent, &m.TaskWaiting)
		if err != nil {
			return nil, err
		}
	}
	return rows, found.Err()
}

// Machine returns one with its names. A deleted one is ErrNotFound.
func (r *Reader) Machine(id MachineID) (MachineRow, error) {
	var m MachineRow
	return m, absent(r.machineRows(machineWhole).Where("machines.id = ?", id).Take(&m).Error, "machine")
}

// MachineRecord returns the bare record, deleted ones included: for workers.
func (r *Reader) MachineRecord(id MachineID) (Machine, error) {
	var m Machine
	return m, absent(r.tx.Take(&m, "id = ?", id).Error, "machine")
}

// MachineCounts counts the org's machines by state.
func (r *Reader) MachineCounts() (map[MachineState]int, error) {
	var rows []struct {
		State MachineState
		N     int
	}
	err := r.tx.Model(&Machine{}).Select("state, COUNT(*) AS n").Where("state <> 'deleted'").Group("state").Find(&rows).Error
	counts := make(map[MachineState]int, len(rows))
	for _, row := range rows {
		counts[row.State] = row.N
	}
	return counts, err
}

// InsertMachine stores an accepted order. A taken name comes back as an
// invalid field.
func (w *Writer) InsertMachine(m *Machine) error {
	m.CreatedAt = Now()
	m.UpdatedAt = m.CreatedAt
	m.State, m.Reserved = MachineBuilding, true
	err := w.tx.Create(m).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Invalid(map[string]string{"name": "Another machine has this name. Choose a different one."})
	}
	w.touch("machine", string(m.ID))
	return err
}

// MoveMachine is the only writer of a machine's state: it moves to `to` from
// any state that may, and sets further columns with it. Where the machine is
// in no such state, it is a conflict and nothing changes.
func (w *Writer) MoveMachine(id MachineID, to MachineState, set map[string]any) error {
	values := map[string]any{"state": to, "updated_at": Now()}
	maps.Copy(values, set)
	done := w.tx.Model(&Machine{}).Where("id = ? AND state IN ?", id, machineSources(to)).Updates(values)
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 {
		return Conflict("The machine is not in a state that allows this any more. Look at it again.")
	}
	w.touch("machine", string(id))
	return nil
}

// SetMachine stores facts about a machine that are not its state.
func (w *Writer) SetMachine(id MachineID, set map[string]any) error {
	if _, ok := set["state"]; ok {
		return errors.New("models: a machine's state is changed by MoveMachine")
	}
	w.touch("machine", string(id))
	return w.tx.Model(&Machine{}).Where("id = ?", id).Updates(set).Error
}

// ReserveMachine takes quota again for a machine whose reservation was given
// back: the retry of a failed create.
func (w *Writer) ReserveMachine(m *Machine) error {
	done := w.tx.Model(&Machine{}).Where("id = ? AND reserved = ?", m.ID, false).Update("reserved", true)
	if done.Error != nil || done.RowsAffected == 0 {
		return done.Error
	}
	return w.TakeQuota(m.Amounts())
}

// ReleaseMachine gives the machine's quota and address back, once: a second
// call finds nothing reserved and does nothing.
func (w *Writer) ReleaseMachine(id MachineID) error {
	var m Machine
	done := w.tx.Model(&m).Clauses(clause.Returning{}).Where("id = ? AND reserved = ?", id, true).
		Updates(map[string]any{"reserved": false, "address": ""})
	if done.Error != nil || done.RowsAffected == 0 {
		return done.Error
	}
	if err := w.releaseAddress(id); err != nil {
		return err
	}
	return w.ReturnQuota(m.Amounts())
}

// MachineChoice is a machine for a menu.
type MachineChoice struct {
	ID      MachineID
	Name    string
	Address string
}

// machineChoicesMost bounds a menu of machines.
const machineChoicesMost = 500

// MachineChoices lists machines that have an address, by name.
func (r *Reader) MachineChoices() ([]MachineChoice, error) {
	var rows []MachineChoice
	return rows, r.tx.Model(&Machine{}).Select("id, name, address").Where("state <> 'deleted' AND address <> ''").
		Order("name").Limit(machineChoicesMost).Find(&rows).Error
}
