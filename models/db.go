package models

import (
	"context"
	"crypto/cipher"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Kind is which database serves.
type Kind string

const (
	SQLite     Kind = "sqlite"
	PostgreSQL Kind = "postgres"
)

// AppRole is the PostgreSQL role that the portal works as: it owns no table,
// so that row-level security holds for it. The migrations make it.
const AppRole = "millwright_app"

// Options opens a database.
type Options struct {
	// URL is postgres://… or sqlite:///path (or a bare path).
	URL string
	// Key seals the clouds' credentials, AES-256-GCM. 32 bytes.
	Key []byte
	// MaxConns bounds the PostgreSQL pool. 0 means 20.
	MaxConns int
	Logger   *slog.Logger
	// Trace is told of every statement, values filled in: for measuring, and
	// for tests that count. Nil tells nobody.
	Trace func(statement string)
}

// DB is the one handle on the database. It gives out System, and System makes
// every other way in.
type DB struct {
	kind   Kind
	write  *gorm.DB
	read   *gorm.DB
	closer []func() error
	pool   *pgxpool.Pool
	seal   cipher.AEAD
	hub    *hub
	// refusing is what is about to be told of those who were refused.
	refusing refusalQueue
	log      *slog.Logger
}

// KindOf says which database a URL names.
func KindOf(rawURL string) Kind {
	if strings.HasPrefix(rawURL, "postgres://") || strings.HasPrefix(rawURL, "postgresql://") {
		return PostgreSQL
	}
	return SQLite
}

// Open connects and checks the connection. It makes no table: migrations do.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	db := &DB{kind: KindOf(o.URL), hub: newHub(), log: o.Logger}
	var err error
	if db.seal, err = newSeal(o.Key); err != nil {
		return nil, err
	}
	if db.kind == PostgreSQL {
		err = db.openPostgres(ctx, o)
	} else {
		err = db.openSQLite(ctx, o)
	}
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}

func (db *DB) openPostgres(ctx context.Context, o Options) error {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return err
	}
	cfg.MaxConns = 20
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(min(o.MaxConns, 1000)) // #nosec G115 -- bounded
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		// Whether a statement is compiled is decided by what the planner fears
		// that it costs. Ours take a few milliseconds, and compiling one 15 to 25.
		_, err := c.Exec(ctx, "SET ROLE "+AppRole+"; SET jit = off")
		return err
	}
	if db.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	db.closer = append(db.closer, func() error { db.pool.Close(); return nil })
	conn := stdlib.OpenDBFromPool(db.pool)
	db.closer = append(db.closer, conn.Close)
	if err := conn.PingContext(ctx); err != nil {
		return err
	}
	db.write, err = gorm.Open(postgres.New(postgres.Config{Conn: conn}), gormConfig(o.Trace))
	db.read = db.write
	return err
}

// SQLiteDSN is the connection string of the writer, or of a reader. Times are
// stored as sortable UTC text.
func SQLiteDSN(path string, readOnly bool) string {
	q := url.Values{"_pragma": {
		"busy_timeout(5000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(NORMAL)",
	}, "_time_format": {"sqlite"}, "_timezone": {"UTC"}}
	if readOnly {
		q.Set("mode", "ro")
		q["_pragma"] = []string{"busy_timeout(5000)", "cache_size(-4000)"}
	} else {
		q.Set("_txlock", "immediate")
	}
	// A path may hold what means something in a URI.
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) + "?" + q.Encode()
}

// SQLitePath takes the scheme off a sqlite URL.
func SQLitePath(rawURL string) string {
	return strings.TrimPrefix(strings.TrimPrefix(rawURL, "sqlite://"), "file:")
}

// openSQLite opens one writer, shared with the job queue, and eight readers:
// separate writers would starve each other.
func (db *DB) openSQLite(ctx context.Context, o Options) error {
	path := SQLitePath(o.URL)
	open := func(readOnly bool, conns int) (*gorm.DB, error) {
		conn, err := sql.Open("sqlite", SQLiteDSN(path, readOnly))
		if err != nil {
			return nil, err
		}
		conn.SetMaxOpenConns(conns)
		conn.SetMaxIdleConns(conns)
		db.closer = append(db.closer, conn.Close)
		if err := conn.PingContext(ctx); err != nil {
			return nil, err
		}
		return gorm.Open(sqliteDialector{&sqlite.Dialector{DriverName: "sqlite", Conn: conn}}, gormConfig(o.Trace))
	}
	var err error
	if db.write, err = open(false, 1); err != nil {
		return err
	}
	db.read, err = open(true, 8)
	return err
}

func gormConfig(trace func(string)) *gorm.Config {
	log := logger.Discard // errors travel up and are logged once
	if trace != nil {
		log = tracer{logger.Discard, trace}
	}
	return &gorm.Config{
		Logger:                 log,
		TranslateError:         true,
		SkipDefaultTransaction: true, // every statement already runs in ours
		NowFunc:                Now,
	}
}

// tracer hands every statement on.
type tracer struct {
	logger.Interface
	tell func(string)
}

func (t tracer) Trace(_ context.Context, _ time.Time, statement func() (string, int64), _ error) {
	text, _ := statement()
	t.tell(text)
}

// LogMode keeps it on, whatever a session asks for.
func (t tracer) LogMode(logger.LogLevel) logger.Interface { return t }

// sqliteDialector knows the pure-Go driver's error codes, which gorm's own
// dialector (made for the cgo driver) doesn't.
type sqliteDialector struct{ *sqlite.Dialector }

func (d sqliteDialector) Translate(err error) error {
	var e *driver.Error
	if errors.As(err, &e) {
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return gorm.ErrDuplicatedKey
		case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
			return gorm.ErrForeignKeyViolated
		case sqlite3.SQLITE_CONSTRAINT_CHECK:
			return gorm.ErrCheckConstraintViolated
		}
	}
	return err
}

// Now is the clock of every record: UTC, in microseconds, which is what
// PostgreSQL keeps.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Kind says which database serves.
func (db *DB) Kind() Kind { return db.kind }

// Pool is the PostgreSQL pool, shared with the job queue; nil on SQLite.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// SQL is the writer's handle, shared with the job queue.
func (db *DB) SQL() *sql.DB {
	conn, _ := db.write.DB()
	return conn
}

// Ping says whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.SQL().PingContext(ctx) }

// Close ends every connection.
func (db *DB) Close() error {
	var errs []error
	for _, end := range slices.Backward(db.closer) {
		errs = append(errs, end())
	}
	db.closer = nil
	return errors.Join(errs...)
}

// transact runs fn in one transaction that sees what scope says. Nobody may
// use another handle, or the network, inside.
func (db *DB) transact(ctx context.Context, scope scopeValue, write bool, fn func(tx *gorm.DB) error) error {
	ctx = context.WithValue(ctx, scopeKey{}, scope)
	handle, opts := db.read, []*sql.TxOptions{}
	if write {
		handle = db.write
	} else if db.kind == PostgreSQL {
		opts = append(opts, &sql.TxOptions{ReadOnly: true})
	}
	err := handle.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if db.kind == PostgreSQL {
			system := "off"
			if scope.all {
				system = "on"
			}
			err := tx.Exec("SELECT set_config('millwright.org', ?, true), set_config('millwright.system', ?, true)",
				string(scope.org), system).Error
			if err != nil {
				return err
			}
		}
		return fn(tx)
	}, opts...)
	return translate(err)
}

// translate gives database errors that have a defined outcome their code.
func translate(err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return &Error{Code: CodeNotFound, Message: "There is nothing here.", Err: err}
	}
	if e := refused(err); e != nil {
		return e
	}
	if badText(err) {
		return &Error{Code: CodeInvalid, Message: "Some of this text has characters that can't be stored.", Err: err}
	}
	if collided(err) {
		return &Error{Code: CodeConflict, Message: "Somebody changed the same at the same moment. Nothing was changed; try again.", Err: err}
	}
	if away(err) {
		return &Error{Code: CodeDown, Message: "The database does not answer just now. Nothing was changed; try again in a moment.", Err: err}
	}
	return err
}

// away says whether the database is not there, or can't work: not what we
// asked of it is at fault.
func away(err error) bool {
	var (
		refused *pgconn.ConnectError
		network *net.OpError
		pg      *pgconn.PgError
		lite    *driver.Error
	)
	switch {
	case errors.Is(err, context.Canceled): // the asker's own doing
		return false
	case errors.As(err, &refused), errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, sqldriver.ErrBadConn),
		errors.Is(err, sql.ErrConnDone):
		return true
	case errors.As(err, &pg):
		for _, class := range []string{"57P", "08", "53"} { // ended by its operator, connection, out of resources
			if strings.HasPrefix(pg.Code, class) {
				return true
			}
		}
		return pg.Code == "25006" || pg.Code == "58030" // a standby; its disk
	case errors.As(err, &lite):
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
			return true
		}
	}
	return pgconn.SafeToRetry(err) // a connection that was closed before anything was sent
}

// collided says whether PostgreSQL gave this transaction up for another's sake.
func collided(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}

// badText says whether PostgreSQL refused text: NUL, or not UTF-8.
func badText(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "22021" || pg.Code == "22P05")
}

// sqlTx is the transaction under gorm, for the job queue's insert.
func sqlTx(tx *gorm.DB) *sql.Tx {
	t, _ := tx.Statement.ConnPool.(*sql.Tx)
	return t
}

// notify sends text to every node with the transaction's commit. PostgreSQL only.
func notify(tx *gorm.DB, text string) error {
	return tx.Exec("SELECT pg_notify(?, ?)", notifyChannel, text).Error
}

// latch takes the transaction's advisory lock. PostgreSQL only.
func latch(tx *gorm.DB, key int64, share bool) error {
	if share {
		return tx.Exec("SELECT pg_advisory_xact_lock_shared(?)", key).Error
	}
	return tx.Exec("SELECT pg_advisory_xact_lock(?)", key).Error
}

// countFailure adds a failure to the key's window, or opens a new one; one
// statement decides, so that parallel guesses all count.
func countFailure(tx *gorm.DB, key string, now, end time.Time) (failures int, err error) {
	err = tx.Raw(`INSERT INTO throttles (key, failures, window_end) VALUES (?, 1, ?)
		ON CONFLICT (key) DO UPDATE SET
		  failures = CASE WHEN throttles.window_end <= ? THEN 1 ELSE throttles.failures + 1 END,
		  window_end = CASE WHEN throttles.window_end <= ? THEN excluded.window_end ELSE throttles.window_end END
		RETURNING failures`, key, end, now, now).Scan(&failures).Error
	return failures, err
}

// removeSegment has the database remove those events of the segment that ends
// at last which stand from one place of the chain to another.
func removeSegment(tx *gorm.DB, org OrgID, last, from, to int64) error {
	var moved int64
	return tx.Raw("SELECT millwright_archive(?, ?, ?, ?)", string(org), last, from, to).Scan(&moved).Error
}

// exprAdd is column + n, computed by the database.
func exprAdd(column string, n int64) clause.Expr {
	return gorm.Expr(column+" + ?", n)
}

// skipLocked locks the table's rows that q finds, and passes over those that
// another transaction holds. SQLite has one writer at a time.
func (w *Writer) skipLocked(table string, q *gorm.DB) *gorm.DB {
	if w.db.kind != PostgreSQL {
		return q
	}
	return q.Clauses(clause.Locking{Strength: "UPDATE", Table: clause.Table{Name: table}, Options: "SKIP LOCKED"})
}
