package models

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Action is what was done: a closed list, so that a filter can offer it.
type Action string

const (
	ActionSignIn         Action = "session.sign_in"
	ActionSignInRefused  Action = "session.sign_in_refused"
	ActionSignOut        Action = "session.sign_out"
	ActionSessionRevoke  Action = "session.revoke"
	ActionMachineCreate  Action = "machine.create"
	ActionMachinePower   Action = "machine.power"
	ActionMachineDelete  Action = "machine.delete"
	ActionMachineState   Action = "machine.state" // seen, not asked for
	ActionTaskCancel     Action = "task.cancel"
	ActionTaskRetry      Action = "task.retry"
	ActionConsoleTicket  Action = "console.ticket"
	ActionConsoleOpen    Action = "console.open"
	ActionConsoleClose   Action = "console.close"
	ActionConsoleEnd     Action = "console.end" // somebody else's, by an admin
	ActionConsoleRefuse  Action = "console.refused"
	ActionConsoleVMRC    Action = "console.vmrc"  // an operator's native client
	ActionMachineMedia   Action = "machine.media" // its virtual CD
	ActionAccessRefused  Action = "access.refused"
	ActionSiteRefused    Action = "access.other_site" // a form that another site's page sent
	ActionEdgeRefused    Action = "edge.refused"      // a gateway's token that is wrong
	ActionPasswordSet    Action = "user.password"
	ActionFactorOn       Action = "user.second_factor_on"
	ActionFactorOff      Action = "user.second_factor_off"
	ActionRecoveryUse    Action = "user.recovery_code"
	ActionTokenCreate    Action = "token.create"
	ActionTokenRevoke    Action = "token.revoke"
	ActionTokenRefused   Action = "token.refused" // unknown, expired or revoked
	ActionInvite         Action = "member.invite"
	ActionInviteResend   Action = "member.invite_again"
	ActionInviteEnd      Action = "member.invite_withdraw"
	ActionInviteRefused  Action = "member.invite_refused"
	ActionMemberJoin     Action = "member.join"
	ActionMemberRole     Action = "member.role"
	ActionMemberDisable  Action = "member.disable"
	ActionMemberEnable   Action = "member.enable"
	ActionMemberRemove   Action = "member.remove"
	ActionAccountLink    Action = "user.sso_link"
	ActionAccountUnlink  Action = "user.sso_unlink"
	ActionAccountDisable Action = "user.disable" // everywhere, by an operator
	ActionAccountEnable  Action = "user.enable"
	ActionConfigChange   Action = "provider.configure"
	ActionQuotaRepair    Action = "quota.repair"
	ActionCloudDisable   Action = "cloud.disable"
	ActionCloudEnable    Action = "cloud.enable"
	ActionCloudDrain     Action = "cloud.drain"
	ActionCloudUndrain   Action = "cloud.undrain"
	ActionCloudTest      Action = "cloud.test" // a connection that an operator had tried
	ActionOrgCreate      Action = "org.create"
	ActionQuotaChange    Action = "org.quota"
	ActionOrgSuspend     Action = "org.suspend"
	ActionOrgResume      Action = "org.resume"
	ActionLookStart      Action = "look.start" // the provider looks into an org
	ActionLookEnd        Action = "look.end"
	ActionLookExpire     Action = "look.expire"
	ActionHistoryExport  Action = "history.export"
	ActionHistoryVerify  Action = "history.verify"
	ActionHistoryArchive Action = "history.archive"
	ActionHistoryFault   Action = "history.fault" // a checkpoint was due and could not be made
)

// Actions lists the closed list, in the order of a menu.
var Actions = slices.Concat([]Action{
	ActionMachineCreate, ActionMachinePower, ActionMachineDelete, ActionMachineMedia, ActionMachineState,
	ActionTaskCancel, ActionTaskRetry,
	ActionConsoleTicket, ActionConsoleOpen, ActionConsoleClose, ActionConsoleEnd, ActionConsoleRefuse, ActionConsoleVMRC,
	ActionSignIn, ActionSignInRefused, ActionSignOut, ActionSessionRevoke, ActionPasswordSet,
	ActionFactorOn, ActionFactorOff, ActionRecoveryUse, ActionAccountLink, ActionAccountUnlink, ActionAccountDisable, ActionAccountEnable, ActionTokenCreate, ActionTokenRevoke, ActionTokenRefused,
	ActionInvite, ActionInviteResend, ActionInviteEnd, ActionInviteRefused, ActionMemberJoin, ActionMemberRole,
	ActionMemberDisable, ActionMemberEnable, ActionMemberRemove,
	ActionAccessRefused, ActionSiteRefused, ActionEdgeRefused, ActionConfigChange, ActionQuotaRepair,
	ActionCloudDisable, ActionCloudEnable, ActionCloudDrain, ActionCloudUndrain, ActionCloudTest,
	ActionOrgCreate, ActionQuotaChange, ActionOrgSuspend, ActionOrgResume,
	ActionLookStart, ActionLookEnd, ActionLookExpire,
	ActionHistoryExport, ActionHistoryVerify, ActionHistoryArchive, ActionHistoryFault,
}, NetworkActions)

// Outcome is how it ended.
type Outcome string

const (
	OutcomeAccepted  Outcome = "accepted" // intent stored; a Task does the rest
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
	OutcomeRefused   Outcome = "refused"
	OutcomeCancelled Outcome = "cancelled" // somebody called it off, and it was undone
)

// Outcomes lists them, in the order of a menu.
var Outcomes = []Outcome{OutcomeAccepted, OutcomeSucceeded, OutcomeFailed, OutcomeRefused, OutcomeCancelled}

// Object is what an event is about, by name as well, for the name may go.
type Object struct {
	Kind string // machine, task, session, token, user, invitation, org, cloud
	ID   string
	Name string
}

// AuditEvent is one line of the history. Body is the canonical JSON of all of
// it (keys sorted, no spaces, times in microseconds), kept as text: that, not
// the columns, is what exports carry and chains are made over.
type AuditEvent struct {
	ID         EventID `gorm:"primaryKey"`
	OrgID      OrgID
	At         time.Time
	ActorKind  ActorKind
	ActorID    string
	ActorName  string
	SessionID  SessionID
	Source     string
	Action     Action
	ObjectKind string
	ObjectID   string
	ObjectName string
	Outcome    Outcome
	Before     string // canonical JSON or ""
	After      string // canonical JSON or ""
	RequestID  string
	Body       string
	linked     bool // known to be in the chain; else nobody has looked
}

// Event is what a change says of itself.
type Event struct {
	Action  Action
	Object  Object
	Outcome Outcome
	Before  map[string]any
	After   map[string]any
}

// Record adds the audit event to the transaction of what it tells.
func (w *Writer) Record(e Event) error { return w.recordFor(w.scope.org, e) }

func (w *Writer) recordFor(org OrgID, e Event) error {
	if org == "" {
		return ErrNoScope
	}
	before, err := canonical(e.Before)
	if err != nil {
		return err
	}
	after, err := canonical(e.After)
	if err != nil {
		return err
	}
	row := AuditEvent{
		ID: NewID[EventID](), OrgID: org, At: Now(),
		ActorKind: w.actor.Kind, ActorID: w.actor.ID, ActorName: w.actor.Name,
		SessionID: w.actor.SessionID, Source: w.actor.Source, RequestID: w.actor.RequestID,
		Action: e.Action, Outcome: e.Outcome,
		ObjectKind: e.Object.Kind, ObjectID: e.Object.ID, ObjectName: e.Object.Name,
		Before: before, After: after,
	}
	if row.Body, err = row.encode(); err != nil {
		return err
	}
	if err := w.tx.Create(&row).Error; err != nil {
		return err
	}
	w.events++
	w.touchOf(org, "event", string(row.ID))
	return nil
}

// encode renders the canonical JSON. encoding/json sorts a map's keys.
func (e *AuditEvent) encode() (string, error) {
	return canonical(map[string]any{
		"id": e.ID, "org": e.OrgID, "at": e.At.Format(bodyTime),
		"actor":   map[string]any{"kind": e.ActorKind, "id": e.ActorID, "name": e.ActorName},
		"session": e.SessionID, "source": e.Source, "action": e.Action,
		"object":  map[string]any{"kind": e.ObjectKind, "id": e.ObjectID, "name": e.ObjectName},
		"outcome": e.Outcome, "before": json.RawMessage(orNull(e.Before)), "after": json.RawMessage(orNull(e.After)),
		"request": e.RequestID,
	})
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

func canonical(v map[string]any) (string, error) {
	if v == nil {
		return "", nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// EventFilter narrows the history. Empty fields don't.
type EventFilter struct {
	Actor   string // words of the actor's name, or their beginnings
	Action  Action
	Object  string // id, or words of the name
	Outcome Outcome
	Text    string // words anywhere in the event, or a whole id
	From    time.Time
	To      time.Time
	Page    Paging
}

// Narrows says whether the filter leaves anything out.
func (f EventFilter) Narrows() bool {
	f.Page = Paging{}
	return f != EventFilter{}
}

// Events returns a page of the org's history, newest first.
func (r *Reader) Events(f EventFilter) (Page[AuditEvent], error) {
	return pageOfEvents(f.Page, func(cursor EventID, down bool, wanted int) ([]AuditEvent, error) {
		return r.searchOrg(r.scope.org, f, cursor, down, wanted)
	})
}

// pageOfEvents makes a page of what search finds behind a cursor.
func pageOfEvents(p Paging, search func(cursor EventID, down bool, wanted int) ([]AuditEvent, error)) (Page[AuditEvent], error) {
	var page Page[AuditEvent]
	limit, back, cursor := p.Limit, p.Before != "", EventID("")
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 200)
	if mark := p.After + p.Before; mark != "" {
		_, id, ok := decodeCursor(mark)
		if !ok || p.After != "" && back {
			return page, Invalid(map[string]string{"after": "This page mark is not one of ours. Start from the first page."})
		}
		cursor = EventID(id)
	}
	rows, err := search(cursor, !back, limit+1)
	if err != nil {
		return page, err
	}
	more := len(rows) > limit
	if more {
		rows = rows[:limit]
	}
	if back {
		slices.Reverse(rows)
	}
	if page.Rows = rows; len(rows) == 0 {
		return page, nil
	}
	if more || back {
		page.Next = encodeCursor("", string(rows[len(rows)-1].ID))
	}
	if p.After != "" || back && more {
		page.Prev = encodeCursor("", string(rows[0].ID))
	}
	return page, nil
}

// Event returns one event, body included.
func (r *Reader) Event(id EventID) (AuditEvent, error) {
	var e AuditEvent
	if err := r.tx.First(&e, "id = ?", id).Error; err != nil {
		return e, absent(err, "event")
	}
	return e, nil
}

// ObjectEvents returns the newest events about one object.
func (r *Reader) ObjectEvents(id string, limit int) ([]AuditEvent, error) {
	var rows []AuditEvent
	err := r.tx.Omit("body").Where("object_id = ?", id).Order("id DESC").Limit(limit).Find(&rows).Error
	return rows, err
}

// EventMark is the page mark of what lies behind an event.
func EventMark(id EventID) string { return encodeCursor("", string(id)) }
