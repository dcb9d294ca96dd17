package models

import (
	"context"
	"database/sql"

	"gorm.io/gorm"
)

// Actor is who does a thing, and from where, as the history tells it.
type Actor struct {
	Kind      ActorKind
	ID        string
	Name      string
	SessionID SessionID // or the API token's id
	Source    string    // client address
	RequestID string
}

// ActorKind is what sort of actor.
type ActorKind string

const (
	ActorUser    ActorKind = "user"
	ActorToken   ActorKind = "token"   // an API token; id and name are its maker's
	ActorSystem  ActorKind = "system"  // the portal's own background work
	ActorVSphere ActorKind = "vsphere" // a change seen in vCenter, by other hands
	ActorNobody  ActorKind = "anonymous"
)

// SystemActor and VSphereActor act without a user.
var (
	SystemActor  = Actor{Kind: ActorSystem, Name: "Millwright"}
	VSphereActor = Actor{Kind: ActorVSphere, Name: "vSphere"}
)

// Scope is one user in one org. Only System.Scope makes one; its zero value
// refuses everything.
type Scope struct {
	db   *DB
	org  Org
	role Role
	// maker is the present role of an API token's maker, "" for a session:
	// a token may do what both its own role and its maker's may.
	maker Role
	actor Actor

	memberships []Membership
	look        *Look // into an org that isn't the user's; nil for members
}

func (s *Scope) Org() Org               { return s.org }
func (s *Scope) Role() Role             { return s.role }
func (s *Scope) UserID() UserID         { return UserID(s.actor.ID) }
func (s *Scope) SessionID() SessionID   { return s.actor.SessionID }
func (s *Scope) Actor() Actor           { return s.actor }
func (s *Scope) valid() bool            { return s != nil && s.db != nil && s.org.ID != "" }
func (s *Scope) scopeValue() scopeValue { return scopeValue{org: s.org.ID} }

// Can says whether the permission is given.
func (s *Scope) Can(p Permission) bool {
	return s.role.May(p) && (s.maker == "" || s.maker.May(p))
}

// Look is what an operator looks into the org by; nil for its members.
func (s *Scope) Look() *Look { return s.look }

// Memberships lists the orgs that the user may switch to, this one among them.
func (s *Scope) Memberships() []Membership { return s.memberships }

// Read is the door for looking: one transaction, the org's rows only.
func (s *Scope) Read(ctx context.Context, fn func(r *Reader) error) error {
	if !s.valid() {
		return ErrNoScope
	}
	return s.db.reading(ctx, s.scopeValue(), fn)
}

// Change is the only door for writing as a tenant: fn's changes and the audit
// event that it records are committed together, or neither is. fn must call
// Writer.Record at least once, else nothing is kept and ErrUnrecorded returned.
func (s *Scope) Change(ctx context.Context, fn func(w *Writer) error) error {
	if !s.valid() {
		return ErrNoScope
	}
	return s.db.changing(ctx, s.scopeValue(), s.actor, true, fn)
}

// Reader looks, within one transaction and one scope.
type Reader struct {
	db    *DB
	tx    *gorm.DB
	scope scopeValue
}

// Writer changes, within one transaction and one scope. It is a Reader too.
type Writer struct {
	Reader
	actor   Actor
	events  int
	changed []Change
}

// Tx is the transaction itself, for the job queue's insert and nothing else.
func (w *Writer) Tx() *sql.Tx { return sqlTx(w.tx) }

// Actor is who makes this change.
func (w *Writer) Actor() Actor { return w.actor }

// Org is the org whose rows this transaction sees; "" for all.
func (r *Reader) Org() OrgID { return r.scope.org }

func (db *DB) reading(ctx context.Context, scope scopeValue, fn func(r *Reader) error) error {
	return db.transact(ctx, scope, false, func(tx *gorm.DB) error {
		return fn(&Reader{db: db, tx: tx, scope: scope})
	})
}

func (db *DB) changing(ctx context.Context, scope scopeValue, actor Actor, recorded bool, fn func(w *Writer) error) error {
	var changed []Change
	err := db.transact(ctx, scope, true, func(tx *gorm.DB) error {
		w := &Writer{Reader: Reader{db: db, tx: tx, scope: scope}, actor: actor}
		if err := fn(w); err != nil {
			return err
		}
		if recorded && w.events == 0 {
			return ErrUnrecorded
		}
		changed = w.changed
		return w.announce()
	})
	if err == nil && db.kind == SQLite {
		db.hub.publish(changed)
	}
	return err
}
