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
	return []clause.Interface{orgFilter{f}, orgKeeper{f}}
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
	// The org comes first and the caller's conditions follow in brackets, so
	// that none of them, an OR above all, loosens it.
	exprs := []clause.Expression{clause.Eq{
		Column: clause.Column{Table: clause.CurrentTable, Name: o.field.DBName},
		Value:  string(scope.org),
	}}
	if where, ok := stmt.Clauses["WHERE"].Expression.(clause.Where); ok && len(where.Exprs) > 0 {
		exprs = append(exprs, bracketed(where.Exprs))
	}
	delete(stmt.Clauses, "WHERE")
	stmt.AddClause(clause.Where{Exprs: exprs})
}

// bracketed builds conditions between brackets, always. gorm's own groups look
// for an OR between two spaces first, and miss one at the end of a line.
type bracketed []clause.Expression

func (b bracketed) Build(builder clause.Builder) {
	_ = builder.WriteByte('(')
	clause.Where{Exprs: b}.Build(builder)
	_ = builder.WriteByte(')')
}

// orgKeeper refuses to give a row to another org.
type orgKeeper struct{ field *schema.Field }

func (orgKeeper) Name() string               { return "" }
func (orgKeeper) Build(clause.Builder)       {}
func (orgKeeper) MergeClause(*clause.Clause) {}

func (o orgKeeper) ModifyStatement(stmt *gorm.Statement) {
	scope, err := scopeOf(stmt.Context)
	if err != nil || scope.all {
		return // orgFilter has refused it
	}
	switch to := stmt.Dest.(type) {
	case map[string]any:
		if to[o.field.DBName] != nil || to[o.field.Name] != nil {
			_ = stmt.AddError(ErrNoScope)
		}
	default:
		row := reflect.Indirect(reflect.ValueOf(to))
		if row.Kind() != reflect.Struct || row.Type() != stmt.Schema.ModelType {
			return
		}
		if value, zero := o.field.ValueOf(stmt.Context, row); !zero && value != scope.org {
			_ = stmt.AddError(ErrNoScope)
		}
	}
}

// orgStamp refuses to insert a row for another org than the scope's, or over
// one that is there, and fills in the org where it was left out.
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
	if _, upsert := stmt.Clauses["ON CONFLICT"]; upsert { // it could take over another org's row
		_ = stmt.AddError(ErrNoScope)
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
