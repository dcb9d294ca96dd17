package models_test

import (
	"context"
	"errors"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// However a statement is put together, it sees, counts and changes the org's
// own rows. On SQLite nothing else keeps it from the others.
func TestNoStatementLeavesItsOrg(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		w := testkit.NewWorld(t, db)
		m := w.Machine(t, "web-1")
		ctx := context.Background()
		globex := w.Scope(t, "admin@globex.example", "globex")
		id := string(m.ID)
		or := "machines.name = 'web-1'\nOR machines.name <> ''\tOR\t1 = 1\nOR\n2 = 2"
		found := map[string]func(tx *gorm.DB) (int64, error){
			"find": func(tx *gorm.DB) (int64, error) {
				var rows []models.Machine
				err := tx.Find(&rows).Error
				return int64(len(rows)), err
			},
			"inline or": func(tx *gorm.DB) (int64, error) {
				var rows []models.Machine
				err := tx.Find(&rows, or).Error
				return int64(len(rows)), err
			},
			"or over lines": func(tx *gorm.DB) (int64, error) {
				var rows []models.Machine
				err := tx.Where("1 = 0\nOR\n1 = 1").Find(&rows).Error
				return int64(len(rows)), err
			},
			"or chain": func(tx *gorm.DB) (int64, error) {
				var rows []models.Machine
				err := tx.Where("1 = 0").Or("1 = 1").Or("machines.id = ?", id).Find(&rows).Error
				return int64(len(rows)), err
			},
			"or alone": func(tx *gorm.DB) (int64, error) {
				var rows []models.Machine
				err := tx.Or("1 = 1").Find(&rows).Error
				return int64(len(rows)), err
			},
			"comment": func(tx *gorm.DB) (int64, error) {
				var rows []models.Machine
				err := tx.Where("1 = 1 --").Find(&rows).Error
				if err != nil { // a statement that does not parse shows nothing
					err = nil
				}
				return int64(len(rows)), err
			},
			"count": func(tx *gorm.DB) (n int64, err error) {
				return n, tx.Model(&models.Machine{}).Where(or).Count(&n).Error
			},
			"unscoped": func(tx *gorm.DB) (n int64, err error) {
				return n, tx.Unscoped().Model(&models.Machine{}).Where(or).Count(&n).Error
			},
			"alias": func(tx *gorm.DB) (n int64, err error) {
				return n, tx.Model(&models.Machine{}).Table("machines AS m").Count(&n).Error
			},
			"pluck": func(tx *gorm.DB) (int64, error) {
				var names []string
				err := tx.Model(&models.Machine{}).Where(or).Pluck("name", &names).Error
				return int64(len(names)), err
			},
			"rows": func(tx *gorm.DB) (n int64, err error) {
				rows, err := tx.Model(&models.Machine{}).Where(or).Rows()
				if err != nil {
					return 0, err
				}
				defer rows.Close()
				for rows.Next() {
					n++
				}
				return n, rows.Err()
			},
			"by key": func(tx *gorm.DB) (int64, error) {
				var rows []models.Machine
				err := tx.Where(&models.Machine{ID: m.ID, OrgID: w.Acme.ID}).Find(&rows).Error
				return int64(len(rows)), err
			},
			"composite key": func(tx *gorm.DB) (int64, error) {
				q := models.Quota{OrgID: w.Acme.ID, Resource: models.ResourceMachines}
				done := tx.Model(&q).Update("ceiling", 7)
				return done.RowsAffected, done.Error
			},
			"delete by key": func(tx *gorm.DB) (int64, error) {
				done := tx.Delete(&models.Address{NetworkID: m.NetworkID, Address: m.Address})
				return done.RowsAffected, done.Error
			},
			"delete with or": func(tx *gorm.DB) (int64, error) {
				done := tx.Where("1 = 0\nOR 1 = 1").Delete(&models.Address{})
				return done.RowsAffected, done.Error
			},
			"update with or": func(tx *gorm.DB) (int64, error) {
				done := tx.Model(&models.Machine{}).Where("1 = 0\nOR 1 = 1").Update("name", "mine")
				return done.RowsAffected, done.Error
			},
			"join": func(tx *gorm.DB) (n int64, err error) {
				return n, tx.Model(&models.Machine{}).Joins("JOIN machines AS o ON 1 = 1 OR 1 = 1").Where(or).Count(&n).Error
			},
			"group": func(tx *gorm.DB) (int64, error) {
				var rows []struct{ State string }
				err := tx.Model(&models.Machine{}).Select("state").Where(or).Group("state").Having("1 = 1\nOR 1 = 1").Find(&rows).Error
				return int64(len(rows)), err
			},
			"clause": func(tx *gorm.DB) (n int64, err error) {
				return n, tx.Model(&models.Machine{}).Clauses(clause.Where{Exprs: []clause.Expression{
					clause.Or(clause.Expr{SQL: "1=1"})}}).Count(&n).Error
			},
			"batches": func(tx *gorm.DB) (n int64, err error) {
				var rows []models.Machine
				return n, tx.FindInBatches(&rows, 10, func(tx *gorm.DB, _ int) error { n += int64(len(rows)); return nil }).Error
			},
		}
		for name, statement := range found {
			err := globex.Change(ctx, func(tx *models.Writer) error {
				n, err := statement(tx.Gorm().Session(&gorm.Session{}))
				if err == nil && n != 0 {
					t.Errorf("%s: globex reached %d rows of acme", name, n)
				}
				return errUndo
			})
			if err == nil {
				t.Errorf("%s: kept", name)
			}
		}
		// Writing a row of acme's over, or one's own away.
		for name, write := range map[string]func(tx *gorm.DB) error{
			"save": func(tx *gorm.DB) error { row := m; row.OrgID = w.Globex.ID; return tx.Save(&row).Error },
			"upsert": func(tx *gorm.DB) error {
				row := m
				row.OrgID = w.Globex.ID
				return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
			},
			"foreign": func(tx *gorm.DB) error {
				return tx.Create(&models.TaskLog{ID: "x", OrgID: w.Acme.ID, TaskID: "x"}).Error
			},
			"foreign slice": func(tx *gorm.DB) error {
				return tx.Create([]models.TaskLog{{ID: "x"}, {ID: "y", OrgID: w.Acme.ID}}).Error
			},
			"map": func(tx *gorm.DB) error {
				return tx.Model(&models.TaskLog{}).Create(map[string]any{"id": "x", "org_id": w.Acme.ID}).Error
			},
			"given away": func(tx *gorm.DB) error {
				return tx.Model(&models.Network{}).Where("id = ?", w.GlobexNetwork.ID).Update("org_id", w.Acme.ID).Error
			},
		} {
			err := globex.Change(ctx, func(tx *models.Writer) error {
				if err := write(tx.Gorm().Session(&gorm.Session{})); !errors.Is(err, models.ErrNoScope) {
					t.Errorf("%s: %v", name, err)
				}
				return errUndo
			})
			if err == nil {
				t.Errorf("%s: kept", name)
			}
		}
	})
}

var errUndo = &models.Error{Code: models.CodeConflict, Message: "undo"}
