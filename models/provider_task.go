package models

import "context"

// OrgTask is a Task with the name of its org.
type OrgTask struct {
	Task
	OrgName string
	OrgSlug string
}

// Tasks returns a page of every org's Tasks, newest first; org narrows to one,
// by its slug.
func (p *Provider) Tasks(ctx context.Context, org string, f TaskFilter) (page Page[OrgTask], err error) {
	err = p.reading(ctx, func(r *Reader) error {
		q := f.narrow(r.tx.Model(&Task{}).Select("tasks.*, orgs.name AS org_name, orgs.slug AS org_slug").
			Joins("JOIN orgs ON orgs.id = tasks.org_id"))
		if org != "" {
			q = q.Where("orgs.slug = ?", org)
		}
		page, err = fetchPage(q, f.Page, keyset{table: "tasks", descending: true}, find[OrgTask],
			func(t *OrgTask) (string, string) { return "", string(t.ID) })
		return err
	})
	return page, err
}
