package models

import (
	"context"
	"reflect"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// OrgID is an org's id and, as the type of a record's org_id column, the
// tenant filter: gorm asks the column type for clauses, and these add
// org_id = ? to every SELECT, UPDATE and DELETE from the context's scope. A
// statement whose context has no scope fails with ErrNoScope.
type OrgID string

// ProviderOrg stands in audit events for "no org": sign-ins of unknown
// accounts and what operators do.
const ProviderOrg OrgID = "provider"

type scopeKey struct{}

// scopeValue says what a transaction may see. Exactly one of its fields is set.
type scopeValue struct {
	org OrgID
	all bool // System and Provider readers, across orgs
}

func scopeOf(ctx context.Context) (scopeValue, error) {
	v, _ := ctx.Value(scopeKey{}).(scopeValue)
	if v.org == "" && !v.all {
		return v, ErrNoScope
	}
	return v, nil
}

func (OrgID) QueryClauses(f *schema.Field) []clause.Interface {
	return []clause.Interface{orgFilter{f}}
}

func (OrgID) UpdateClauses(f *schema.Field) []clause.Interface {
	return []clause.Interface{orgFilter{f}}
}

func (OrgID) DeleteClauses(f *schema.Field) []clause.Interface {
	return []clause.Interface{orgFilter{f}}
}

func (OrgID) CreateClauses(f *schema.Field) []clause.Interface {
	return []clause.Interface{orgStamp{f}}
}

// orgFilter adds org_id = ? once per statement. Unscoped does not lift it.
type orgFilter struct{ field *schema.Field }

func (orgFilter) Name() string               { return "" }
func (orgFilter) Build(clause.Builder)       {}
func (orgFilter) MergeClause(*clause.Clause) {}

const orgFilterDone = "millwright:org"

func (o orgFilter) ModifyStatement(stmt *gorm.Statement) {
	if _, done := stmt.Clauses[orgFilterDone]; done || stmt.SQL.Len() > 0 {
		return
	}
	scope, err := scopeOf(stmt.Context)
	if err != nil {
		_ = stmt.AddError(err)
		return
	}
	stmt.Clauses[orgFilterDone] = clause.Clause{}
	if scope.all {
		return
	}
	// A caller's OR must not loosen the filter: bracket what stands there.
	if c, ok := stmt.Clauses["WHERE"]; ok {
		if where, ok := c.Expression.(clause.Where); ok && len(where.Exprs) > 0 {
			where.Exprs = []clause.Expression{clause.And(where.Exprs...)}
			c.Expression = where
			stmt.Clauses["WHERE"] = c
		}
	}
	stmt.AddClause(clause.Where{Exprs: []clause.Expression{clause.Eq{
		Column: clause.Column{Table: clause.CurrentTable, Name: o.field.DBName},
		Value:  string(scope.org),
	}}})
}

// orgStamp refuses to insert a row for another org than the scope's, and
// fills in the org where it was left out.
type orgStamp struct{ field *schema.Field }

func (orgStamp) Name() string               { return "" }
func (orgStamp) Build(clause.Builder)       {}
func (orgStamp) MergeClause(*clause.Clause) {}

func (o orgStamp) ModifyStatement(stmt *gorm.Statement) {
	scope, err := scopeOf(stmt.Context)
	if err != nil {
		_ = stmt.AddError(err)
		return
	}
	if scope.all {
		return
	}
	stamp := func(row reflect.Value) {
		value, zero := o.field.ValueOf(stmt.Context, row)
		switch org, _ := value.(OrgID); {
		case zero:
			_ = stmt.AddError(o.field.Set(stmt.Context, row, scope.org))
		case org != scope.org:
			_ = stmt.AddError(ErrNoScope)
		}
	}
	switch rows := stmt.ReflectValue; rows.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range rows.Len() {
			stamp(reflect.Indirect(rows.Index(i)))
		}
	case reflect.Struct:
		stamp(rows)
	default:
		_ = stmt.AddError(ErrNoScope)
	}
}
