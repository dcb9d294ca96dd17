package models

import (
	"context"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// QuotaCheck is a bar beside what the records themselves account for. The two
// are the same, always: each record is stored and ended in one transaction
// with its share of the bar.
type QuotaCheck struct {
	Quota
	Counted int64
	OrgSlug string
}

// Agrees says whether the bar is right.
func (q QuotaCheck) Agrees() bool { return q.Used == q.Counted }

// counted is what accounts for each resource, in one expression, so that one
// statement sees bars and records as of the same moment.
const counted = `CASE quotas.resource
	WHEN 'machines' THEN (SELECT COUNT(*) FROM machines m WHERE m.org_id = quotas.org_id AND m.reserved)
	WHEN 'vcpus' THEN (SELECT COALESCE(SUM(m.vcpus), 0) FROM machines m WHERE m.org_id = quotas.org_id AND m.reserved)
	WHEN 'memory_mib' THEN (SELECT COALESCE(SUM(m.memory_mib), 0) FROM machines m WHERE m.org_id = quotas.org_id AND m.reserved)
	WHEN 'storage_gib' THEN (SELECT COALESCE(SUM(m.disk_gib), 0) FROM machines m WHERE m.org_id = quotas.org_id AND m.reserved)
	WHEN 'public_ips' THEN (SELECT COUNT(*) FROM public_ips p WHERE p.org_id = quotas.org_id AND p.state IN ('assigned', 'releasing'))
	WHEN 'tasks' THEN (SELECT COUNT(*) FROM tasks t WHERE t.org_id = quotas.org_id AND t.state IN ('queued', 'running', 'cancelling'))
	WHEN 'consoles' THEN (SELECT COUNT(*) FROM console_sessions c WHERE c.org_id = quotas.org_id AND c.closed_at IS NULL)
	ELSE 0 END`

// CheckQuotas recomputes what is used from the records of the scope: of one
// org, or of all.
func (r *Reader) CheckQuotas() ([]QuotaCheck, error) {
	var rows []QuotaCheck
	err := r.tx.Model(&Quota{}).Select("quotas.*, orgs.slug AS org_slug, " + counted + " AS counted").
		Joins("JOIN orgs ON orgs.id = quotas.org_id").Find(&rows).Error
	slices.SortFunc(rows, func(a, b QuotaCheck) int {
		if a.OrgSlug != b.OrgSlug {
			if a.OrgSlug < b.OrgSlug {
				return -1
			}
			return 1
		}
		return slices.Index(Resources, a.Resource) - slices.Index(Resources, b.Resource)
	})
	return rows, err
}

// CountedQuota is CheckQuotas of one org as amounts.
func (r *Reader) CountedQuota() (Amounts, error) {
	rows, err := r.CheckQuotas()
	amounts := Amounts{}
	for _, row := range rows {
		amounts[row.Resource] = row.Counted
	}
	return amounts, err
}

// CheckQuotas is every org's, for the command of that name.
func (s *System) CheckQuotas(ctx context.Context) (rows []QuotaCheck, err error) {
	err = s.reading(ctx, func(r *Reader) error {
		rows, err = r.CheckQuotas()
		return err
	})
	return rows, err
}

// RepairQuotas sets an org's bars to what its records account for, and tells
// the org's history what was wrong. It returns what it found. Where nothing is
// wrong it writes nothing.
func (s *System) RepairQuotas(ctx context.Context, org OrgID) (rows []QuotaCheck, err error) {
	err = s.Within(ctx, org, SystemActor, func(w *Writer) error {
		// Whoever takes or returns waits here until this has ended, and what
		// they had stored by then is counted: hence first the lock, then a
		// statement of its own.
		var locked []Quota
		if err := w.tx.Clauses(clause.Locking{Strength: "UPDATE"}).Order("resource").Find(&locked).Error; err != nil {
			return err
		}
		if rows, err = w.CheckQuotas(); err != nil {
			return err
		}
		before, after := map[string]any{}, map[string]any{}
		for _, row := range rows {
			if row.Agrees() {
				continue
			}
			before[string(row.Resource)], after[string(row.Resource)] = row.Used, row.Counted
			if err := w.setUsed(row.Resource, row.Counted); err != nil {
				return err
			}
		}
		if len(after) == 0 {
			return nil
		}
		return w.Record(Event{Action: ActionQuotaRepair, Outcome: OutcomeSucceeded,
			Object: Object{Kind: "org", ID: string(org), Name: rows[0].OrgSlug}, Before: before, After: after})
	})
	return rows, err
}

func (w *Writer) setUsed(res Resource, n int64) error {
	return w.tx.Model(&Quota{}).Where("resource = ?", res).Update("used", gorm.Expr("?", n)).Error
}
