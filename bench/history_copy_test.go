package bench

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/millwright/millwright/models"
)

// postgresLoad copies into tables without keys and indexes, each table on a
// connection of its own, and makes them when the rows are there.
type postgresLoad struct{ url string }

// copyPart is how much of a table is handed over at once. Bytes.
const copyPart = 1 << 20

// copyTable is one that is being filled.
type copyTable struct {
	name, columns string
	parts         chan []byte // to the database
	free          chan []byte // to be filled again
	part          []byte      // being filled
	read, rest    []byte      // being read, and what of it is left
	failed        chan struct{}
}

func newCopyTable(name, columns string) *copyTable {
	return &copyTable{name: name, columns: columns, parts: make(chan []byte, 4), free: make(chan []byte, 8), failed: make(chan struct{})}
}

// row ends a row, and hands on what is full.
func (t *copyTable) row(b []byte) error {
	t.part = b
	if len(b) < copyPart {
		return nil
	}
	select {
	case t.parts <- b:
	case <-t.failed:
		return errors.New("the copy has ended")
	}
	select {
	case t.part = <-t.free:
	default:
		t.part = make([]byte, 0, copyPart+4096)
	}
	return nil
}

func (t *copyTable) end() {
	select {
	case t.parts <- t.part:
	case <-t.failed:
	}
	close(t.parts)
}

// Read is what the copy reads.
func (t *copyTable) Read(p []byte) (int, error) {
	for len(t.rest) == 0 {
		part, ok := <-t.parts
		if !ok {
			return 0, io.EOF
		}
		t.read, t.rest = part, part
	}
	n := copy(p, t.rest)
	if t.rest = t.rest[n:]; len(t.rest) == 0 {
		select {
		case t.free <- t.read[:0]:
		default:
		}
	}
	return n, nil
}

// copy empties the table, keeps what it had, takes its keys and indexes off,
// copies, and puts them back: within one transaction, so that nothing of it
// goes through the log, and every row is frozen.
func (l *postgresLoad) copy(ctx context.Context, t *copyTable) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", t.name, err)
			close(t.failed)
		}
	}()
	c, err := pgx.Connect(ctx, l.url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, "SET maintenance_work_mem = '1GB'; SET max_parallel_maintenance_workers = 0"); err != nil {
		return err
	}
	drop, restore, err := indexesOf(ctx, c, t.name)
	if err != nil {
		return err
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	exec := func(statements ...string) error {
		for _, text := range statements {
			if _, err := tx.Exec(ctx, text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		return nil
	}
	if err := exec("CREATE TEMP TABLE kept AS TABLE "+t.name, "TRUNCATE "+t.name); err != nil {
		return err
	}
	if err := exec(drop...); err != nil {
		return err
	}
	if _, err := c.PgConn().CopyFrom(ctx, t, fmt.Sprintf("COPY %s (%s) FROM STDIN WITH (FREEZE true)", t.name, t.columns)); err != nil {
		return err
	}
	if err := exec("INSERT INTO " + t.name + " TABLE kept"); err != nil {
		return err
	}
	if err := exec(restore...); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// indexesOf says how a table's keys and indexes are dropped, and made again.
func indexesOf(ctx context.Context, c *pgx.Conn, table string) (drop, restore []string, err error) {
	rows, err := c.Query(ctx, `SELECT i.relname, pg_get_indexdef(i.oid), COALESCE(k.conname, ''), COALESCE(pg_get_constraintdef(k.oid), '')
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid LEFT JOIN pg_constraint k ON k.conindid = i.oid
		WHERE x.indrelid = $1::regclass ORDER BY x.indisprimary DESC, i.relname`, table)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var index, text, constraint, definition string
		if err := rows.Scan(&index, &text, &constraint, &definition); err != nil {
			return nil, nil, err
		}
		if constraint != "" {
			drop = append(drop, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", table, constraint))
			restore = append(restore, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", table, constraint, definition))
			continue
		}
		drop, restore = append(drop, "DROP INDEX "+index), append(restore, text)
	}
	return drop, restore, rows.Err()
}

func (l *postgresLoad) events(ctx context.Context, orgs []*historyOrg, end int64) error {
	events, links := newCopyTable("audit_events", eventCells), newCopyTable("audit_links", linkCells)
	return together(func() error { return l.copy(ctx, events) }, func() error { return l.copy(ctx, links) }, func() error {
		defer events.end()
		defer links.end()
		return eachEvent(orgs, end, func(e models.AuditEvent, k models.AuditLink) error {
			b := append(append(append(append(events.part, e.ID...), '\t'), e.OrgID...), '\t')
			b = e.At.AppendFormat(b, "2006-01-02 15:04:05.000000Z")
			for _, cell := range [...]string{string(e.ActorKind), e.ActorID, e.ActorName, string(e.SessionID), e.Source, string(e.Action), e.ObjectKind, e.ObjectID,
				e.ObjectName, string(e.Outcome), e.Before, e.After, e.RequestID, e.Body} {
				b = append(append(b, '\t'), cell...)
			}
			if err := events.row(append(b, '\n')); err != nil {
				return err
			}
			b = append(append(links.part, k.OrgID...), '\t')
			b = strconv.AppendInt(b, k.Sequence, 10)
			for _, cell := range [...]string{string(k.EventID), k.PreviousHash, k.Hash} {
				b = append(append(b, '\t'), cell...)
			}
			return links.row(append(b, '\n'))
		})
	})
}

func (l *postgresLoad) words(ctx context.Context, orgs []*historyOrg, model *historyOrg, words [][]historyWord, end int64) error {
	rows, blocks := newCopyTable("audit_words", wordCells), newCopyTable("audit_blocks", blockCells)
	begin := func(t *copyTable, org models.OrgID, block int) []byte {
		return append(strconv.AppendInt(append(append(t.part, org...), '\t'), int64(block), 10), '\t')
	}
	return together(func() error { return l.copy(ctx, rows) }, func() error { return l.copy(ctx, blocks) }, func() error {
		defer blocks.end()
		return eachBlock(orgs, end, func(org models.OrgID, block int, low, high string) error {
			b := append(append(begin(blocks, org, block), low...), '\t')
			return blocks.row(append(append(b, high...), '\n'))
		})
	}, func() error {
		defer rows.end()
		return eachWord(orgs, model, words, func(org models.OrgID, block int, w historyWord) error {
			b := append(append(begin(rows, org, block), w.word...), "\t\\\\x"...)
			return rows.row(append(hex.AppendEncode(b, w.places), '\n'))
		})
	})
}

func (l *postgresLoad) done(ctx context.Context) error {
	c, err := pgx.Connect(ctx, l.url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	_, err = c.Exec(ctx, "ANALYZE")
	return err
}
