package jobs

import (
	"database/sql"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
)

// insertDriver inserts jobs in a database/sql transaction on PostgreSQL, which
// is what gorm has, while the workers run on pgx. The driver for that stayed a
// few versions behind River: it lacks two filters of job lists, which inserts
// never use.
type insertDriver struct{ *riverdatabasesql.Driver }

var _ riverdriver.Driver[*sql.Tx] = insertDriver{}

func newInsertDriver() insertDriver { return insertDriver{riverdatabasesql.New(nil)} }

func (insertDriver) SQLFragmentColumnContainsAll(string, string, []string) (string, any, error) {
	return "", nil, riverdriver.ErrNotImplemented
}

func (insertDriver) SQLFragmentColumnContainsAny(string, string, []string) (string, any, error) {
	return "", nil, riverdriver.ErrNotImplemented
}
