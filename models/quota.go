package models

import (
	"fmt"
	"slices"
)

// Resource is one thing that an org has a limited amount of.
type Resource string

const (
	ResourceMachines  Resource = "machines"
	ResourceVCPUs     Resource = "vcpus"
	ResourceMemory    Resource = "memory_mib"
	ResourceStorage   Resource = "storage_gib"
	ResourcePublicIPs Resource = "public_ips"
	ResourceTasks     Resource = "tasks" // queued, running or cancelling
	ResourceConsoles  Resource = "consoles"
)

// Resources lists them in the order of the dashboard, which is also the order
// in which rows are locked, so that two orders never wait for each other.
var Resources = []Resource{
	ResourceMachines, ResourceVCPUs, ResourceMemory, ResourceStorage, ResourcePublicIPs, ResourceTasks, ResourceConsoles,
}

// UsualTasks is how many Tasks an org may have under way where nobody said
// otherwise: as many as one bulk operation asks for.
const UsualTasks = 200

var resourceNames = map[Resource]string{
	ResourceMachines: "machines", ResourceVCPUs: "vCPUs", ResourceMemory: "MiB of memory",
	ResourceStorage: "GiB of storage", ResourcePublicIPs: "public IPs", ResourceTasks: "running tasks", ResourceConsoles: "open consoles",
}

// Limits is what an org may have, and Amounts what it takes, by resource.
type (
	Limits  map[Resource]int64
	Amounts map[Resource]int64
)

// Quota is one bar: taken never exceeds the limit; the database refuses it.
type Quota struct {
	OrgID    OrgID    `gorm:"primaryKey"`
	Resource Resource `gorm:"primaryKey"`
	Ceiling  int64
	Used     int64
}

// TableName spells the plural: gorm takes quota for one.
func (Quota) TableName() string { return "quotas" }

// Quotas lists the org's bars in the order of Resources.
func (r *Reader) Quotas() ([]Quota, error) {
	var rows []Quota
	if err := r.tx.Find(&rows).Error; err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b Quota) int {
		return slices.Index(Resources, a.Resource) - slices.Index(Resources, b.Resource)
	})
	return rows, nil
}

// TakeQuota takes all amounts or none: each by one conditional update, so that
// a hundred at once on a quota of ten make exactly ten.
func (w *Writer) TakeQuota(amounts Amounts) error {
	if w.scope.org == "" {
		return ErrNoScope // it would take from every org
	}
	for _, res := range Resources {
		n := amounts[res]
		if n == 0 {
			continue
		}
		done := w.tx.Model(&Quota{}).Where("resource = ? AND used + ? <= ceiling", res, n).
			Update("used", exprAdd("used", n))
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return w.quotaRefusal(res, n)
		}
	}
	return nil
}

func (w *Writer) quotaRefusal(res Resource, wanted int64) error {
	var q Quota
	if err := w.tx.Limit(1).Find(&q, "resource = ?", res).Error; err != nil {
		return err
	}
	return &Error{Code: CodeQuota, Message: q.full(res, wanted)}
}

// full says what is taken, and what makes room.
func (q Quota) full(res Resource, wanted int64) string {
	switch res {
	case ResourceTasks:
		return fmt.Sprintf("The org has %d tasks under way, and may have %d at once. Wait until some have ended, then try again.", q.Used, q.Ceiling)
	case ResourceConsoles:
		return fmt.Sprintf("%d of the %d consoles that the org may have open are open. Close one, then try again.", q.Used, q.Ceiling)
	case ResourcePublicIPs:
		return fmt.Sprintf("This needs %d public IPs, and %d of the org's %d are taken. Give one back, or ask your provider for more.", wanted, q.Used, q.Ceiling)
	default:
		return fmt.Sprintf("This needs %d %s, and %d of the org's %d are taken. Delete a machine, choose a smaller size, or ask your provider for more.",
			wanted, resourceNames[res], q.Used, q.Ceiling)
	}
}

// ReturnQuota gives amounts back. The caller makes sure that it does so once.
func (w *Writer) ReturnQuota(amounts Amounts) error {
	if w.scope.org == "" {
		return ErrNoScope
	}
	for _, res := range Resources {
		if n := amounts[res]; n != 0 {
			err := w.tx.Model(&Quota{}).Where("resource = ?", res).Update("used", exprAdd("used", -n)).Error
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// setLimits returns the org's limits as they were and as they are. One that is
// left out stays as it is; of a new org it is the usual one.
func (w *Writer) setLimits(org OrgID, limits Limits) (was, is Limits, err error) {
	was, is = Limits{}, Limits{}
	var have []Quota
	if err := w.tx.Find(&have, "org_id = ?", org).Error; err != nil {
		return nil, nil, err
	}
	for _, q := range have {
		was[q.Resource] = q.Ceiling
	}
	for _, res := range Resources {
		ceiling, known := was[res]
		limit, given := limits[res]
		switch {
		case given:
		case known:
			limit = ceiling
		case res == ResourceTasks:
			limit = UsualTasks
		}
		is[res] = limit
		switch {
		case !known:
			err = w.tx.Create(&Quota{OrgID: org, Resource: res, Ceiling: limit}).Error
		case ceiling != limit:
			err = w.tx.Model(&Quota{}).Where("org_id = ? AND resource = ?", org, res).Update("ceiling", limit).Error
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return was, is, nil
}
