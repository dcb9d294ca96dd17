package bench

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// The events are made here and not by the portal, which would take hours; they
// have the texts, links and words that it would have written. One is in every
// org each seven seconds up to an hour ago, so that the orgs lie mixed among
// one another, as they do where a hundred of them are at work.

const (
	historyStep     = 7000 // between an org's events, ms
	historyMachines = 500
	historyPeople   = 20
	// historyBlock is how many events a block of the search index has.
	historyBlock = 512
	// historyZebra is the one event of an org that has a word of its own.
	historyZebra = 31_000
)

// historyOrg is an org with n events still to be made.
type historyOrg struct {
	id       models.OrgID
	number   int // in its events' ids
	n        int
	previous string // hash of its last link
	texts    historyTexts
}

// historyTexts are what many of an org's events have in common.
type historyTexts struct{ objects, names, people, called, sources []string }

func newHistoryOrg(id models.OrgID, number, n int) *historyOrg {
	o := &historyOrg{id: id, number: number, n: n, previous: strings.Repeat("0", 64)}
	for m := range historyMachines {
		o.texts.objects = append(o.texts.objects, fmt.Sprintf("0190c000-0000-7000-8000-%04x%08x", number, m))
		o.texts.names = append(o.texts.names, fmt.Sprintf("web-%d", m))
	}
	for p := range historyPeople {
		o.texts.people = append(o.texts.people, fmt.Sprintf("0190a000-0000-7000-8000-%04x%08x", number, p))
		o.texts.called = append(o.texts.called, fmt.Sprintf("Person %d", p))
	}
	for s := range 50 {
		o.texts.sources = append(o.texts.sources, fmt.Sprintf("192.0.2.%d", s))
	}
	return o
}

// eventID is the org's event i; end is when its last one was, in milliseconds.
func (o *historyOrg) eventID(i int, end int64) string {
	ms := end - int64(o.n-i)*historyStep
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], uint64(ms)<<16|0x7000|uint64(o.number)) // #nosec G115 -- after 1970
	binary.BigEndian.PutUint64(raw[8:], 1<<63|uint64(i))                       // #nosec G115 -- from 0
	var text [36]byte
	hex.Encode(text[:8], raw[:4])
	hex.Encode(text[9:13], raw[4:6])
	hex.Encode(text[14:18], raw[6:8])
	hex.Encode(text[19:23], raw[8:10])
	hex.Encode(text[24:], raw[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// event makes event i and its link. They have to be asked for in order.
func (o *historyOrg) event(i int, end int64) (models.AuditEvent, models.AuditLink) {
	m, p := i*7919%historyMachines, i*31%historyPeople
	e := models.AuditEvent{
		ID: models.EventID(o.eventID(i, end)), OrgID: o.id, At: time.UnixMilli(end - int64(o.n-i)*historyStep).UTC(),
		ActorKind: models.ActorUser, ActorID: o.texts.people[p], ActorName: o.texts.called[p],
		SessionID: models.SessionID(fmt.Sprintf("0190b000-0000-7000-8000-%04x%08x", o.number, i/200)), Source: o.texts.sources[m%50],
		Action: models.ActionMachinePower, ObjectKind: "machine", ObjectID: o.texts.objects[m], ObjectName: o.texts.names[m],
		Outcome: models.OutcomeSucceeded, RequestID: fmt.Sprintf("%016x%016x", mixed(uint64(o.number)<<32|uint64(i)), mixed(uint64(i))), // #nosec G115 -- from 0
	}
	switch i % 6 {
	case 0:
		e.Action = models.ActionMachineCreate
	case 1:
		e.Action = models.ActionConsoleOpen
	case 2:
		e.Action = models.ActionConsoleClose
	}
	if i%20 == 0 {
		e.Outcome = models.OutcomeFailed
	}
	e.Before, e.After = `{"state":"running"}`, `{"by":"step `+strconv.Itoa(i%9)+`"`
	if i == historyZebra {
		e.After += `,"note":"zebra"`
	}
	if i%2 == 0 {
		e.Before, e.After = `{"state":"stopped"}`, e.After+`,"state":"running"}`
	} else {
		e.After += `,"state":"stopped"}`
	}
	e.Body = `{"action":"` + string(e.Action) + `","actor":{"id":"` + e.ActorID + `","kind":"user","name":"` + e.ActorName + `"},"after":` + e.After +
		`,"at":"` + e.At.Format("2006-01-02T15:04:05.000000Z") + `","before":` + e.Before + `,"id":"` + string(e.ID) +
		`","object":{"id":"` + e.ObjectID + `","kind":"machine","name":"` + e.ObjectName + `"},"org":"` + string(o.id) + `","outcome":"` + string(e.Outcome) +
		`","request":"` + e.RequestID + `","session":"` + string(e.SessionID) + `","source":"` + e.Source + `"}`
	l := models.AuditLink{OrgID: o.id, Sequence: int64(i + 1), EventID: e.ID, PreviousHash: o.previous}
	l.Hash = audit.Hash(o.previous, o.id, l.Sequence, e.ID, e.Body)
	o.previous = l.Hash
	return e, l
}

// mixed is splitmix64.
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// eachEvent makes them all, oldest first, whosever they are.
func eachEvent(orgs []*historyOrg, end int64, fn func(models.AuditEvent, models.AuditLink) error) error {
	most := 0
	for _, o := range orgs {
		most = max(most, o.n)
	}
	for back := most; back > 0; back-- {
		for _, o := range orgs {
			if i := o.n - back; i >= 0 {
				if err := fn(o.event(i, end)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// historyWord is a row of the search index, without its org.
type historyWord struct {
	word   string
	places []byte
}

// historyWords are the words of one org's blocks, as the portal's own code
// indexes them in a database beside. Every other org's are the same, but for
// the number that ids have in them.
func historyWords(b *testing.B, org *historyOrg, end int64) [][]historyWord {
	b.Helper()
	ctx := context.Background()
	db := testkit.Open(b, testkit.SQLiteURL(b))
	load := &sqliteLoad{db: db.SQL()}
	if err := load.events(ctx, []*historyOrg{org}, end); err != nil {
		b.Fatal(err)
	}
	made, err := db.System().IndexHistory(ctx, org.id, org.n)
	if err != nil || made != org.n/historyBlock {
		b.Fatalf("%d blocks: %v", made, err)
	}
	blocks := make([][]historyWord, made)
	rows, err := db.SQL().QueryContext(ctx, "SELECT block, word, places FROM audit_words WHERE org_id = $1 ORDER BY block, word", org.id)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var (
			block int
			w     historyWord
		)
		if err := rows.Scan(&block, &w.word, &w.places); err != nil {
			b.Fatal(err)
		}
		blocks[block] = append(blocks[block], w)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return blocks
}

// eachWord hands over the rows of the search index, block by block through all
// of the orgs, as they would come to be.
func eachWord(orgs []*historyOrg, model *historyOrg, words [][]historyWord, fn func(org models.OrgID, block int, w historyWord) error) error {
	const ids = "-0000-7000-8000-"
	ours := ids + fmt.Sprintf("%04x", model.number)
	for block := range words {
		for _, o := range orgs {
			if block >= o.n/historyBlock {
				continue
			}
			theirs := ids + fmt.Sprintf("%04x", o.number)
			for _, w := range words[block] {
				if len(w.word) == 36 && o != model {
					w.word = strings.Replace(w.word, ours, theirs, 1)
				}
				if err := fn(o.id, block, w); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// eachBlock hands over where each block begins and ends.
func eachBlock(orgs []*historyOrg, end int64, fn func(org models.OrgID, block int, low, high string) error) error {
	for _, o := range orgs {
		for block := range o.n / historyBlock {
			low, high := o.eventID(block*historyBlock, end), o.eventID((block+1)*historyBlock-1, end)
			if err := fn(o.id, block, low, high); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill makes a hundred orgs' histories.
func (s *historySite) fill(b *testing.B) {
	b.Helper()
	ctx, began := context.Background(), time.Now()
	total := map[string]int{"sqlite": 1_000_000, "postgres": 10_000_000}[s.kind]
	if text := os.Getenv("HISTORY_EVENTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < historyLong+historyShort {
			b.Fatalf("HISTORY_EVENTS: %q: at least %d", text, historyLong+historyShort)
		}
		total = n
	}
	end := began.Add(-time.Hour).UnixMilli()
	long, short := newHistoryOrg(s.world.Acme.ID, 1, historyLong), newHistoryOrg(s.world.Globex.ID, 2, historyShort)
	orgs, longest := []*historyOrg{long, short}, long
	for number := 3; number <= historyOrgs; number++ {
		n := (total - historyLong - historyShort) / (historyOrgs - 2)
		o := newHistoryOrg(models.OrgID(fmt.Sprintf("0190d000-0000-7000-8000-%012x", number)), number, n)
		if _, err := s.owner.ExecContext(ctx, fmt.Sprintf(
			"INSERT INTO orgs (id, slug, name, created_at) SELECT '%s', 'org-%d', name, created_at FROM orgs WHERE slug = 'globex'", o.id, number)); err != nil {
			b.Fatal(err)
		}
		if orgs = append(orgs, o); o.n > longest.n {
			longest = o
		}
	}
	words := historyWords(b, newHistoryOrg(longest.id, longest.number, longest.n), end)
	b.Logf("words of one org after %s", time.Since(began).Round(time.Second))
	var load interface {
		events(ctx context.Context, orgs []*historyOrg, end int64) error
		words(ctx context.Context, orgs []*historyOrg, model *historyOrg, words [][]historyWord, end int64) error
		done(ctx context.Context) error
	} = &sqliteLoad{db: s.owner}
	if s.kind == "postgres" {
		load = &postgresLoad{url: s.url}
	}
	if err := load.events(ctx, orgs, end); err != nil {
		b.Fatal(err)
	}
	b.Logf("events after %s", time.Since(began).Round(time.Second))
	if err := load.words(ctx, orgs, longest, words, end); err != nil {
		b.Fatal(err)
	}
	b.Logf("words after %s", time.Since(began).Round(time.Second))
	if err := load.done(ctx); err != nil {
		b.Fatal(err)
	}
	for _, o := range orgs[:2] { // what making the world told
		if err := s.service.Seal(ctx, o.id); err != nil {
			b.Fatal(err)
		}
	}
	for _, o := range orgs { // what no block has
		if made, err := s.world.System.IndexHistory(ctx, o.id, total); err != nil || made > 0 {
			b.Fatalf("%d more blocks: %v", made, err)
		}
	}
	b.Logf("%d events in %d orgs made in %s", total, historyOrgs, time.Since(began).Round(time.Second))
	b.ReportMetric(time.Since(began).Seconds(), "fill-s")
}

const (
	eventCells = "id, org_id, at, actor_kind, actor_id, actor_name, session_id, source, action, object_kind, object_id, object_name, outcome, before, after, request_id, body"
	linkCells  = "org_id, sequence, event_id, previous_hash, hash"
	wordCells  = "org_id, block, word, places"
	blockCells = "org_id, block, low_id, high_id"
)

// sqliteLoad writes in large transactions, and makes the indexes at the end.
type sqliteLoad struct {
	db      *sql.DB
	indexes []string
}

// sqliteRows is how many rows one statement inserts, sqliteCommit how many a
// transaction has.
const (
	sqliteRows   = 20
	sqliteCommit = 50_000
)

// sqliteTable gathers rows for one table within a transaction.
type sqliteTable struct {
	into  string // table and columns
	width int
	args  []any
	many  *sql.Stmt
}

func (t *sqliteTable) statement(rows int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", t.width), ",") + "),"
	return "INSERT INTO " + t.into + " VALUES " + strings.TrimSuffix(strings.Repeat(one, rows), ",")
}

func (t *sqliteTable) add(ctx context.Context, tx *sql.Tx, cells ...any) (err error) {
	if t.args = append(t.args, cells...); len(t.args) < sqliteRows*t.width {
		return nil
	}
	if t.many == nil {
		if t.many, err = tx.PrepareContext(ctx, t.statement(sqliteRows)); err != nil {
			return err
		}
	}
	_, err = t.many.ExecContext(ctx, t.args...)
	t.args = t.args[:0]
	return err
}

// end writes what is left.
func (t *sqliteTable) end(ctx context.Context, tx *sql.Tx) (err error) {
	if len(t.args) > 0 {
		_, err = tx.ExecContext(ctx, t.statement(len(t.args)/t.width), t.args...)
	}
	t.args, t.many = t.args[:0], nil
	return err
}

// write runs fn, which adds rows through add, in transactions.
func (l *sqliteLoad) write(ctx context.Context, tables []*sqliteTable, fn func(add func(t *sqliteTable, cells ...any) error) error) (err error) {
	var tx *sql.Tx
	count := 0
	commit := func() error {
		if tx == nil {
			return nil
		}
		for _, t := range tables {
			if err := t.end(ctx, tx); err != nil {
				return err
			}
		}
		err := tx.Commit()
		tx = nil
		return err
	}
	err = fn(func(t *sqliteTable, cells ...any) (err error) {
		if tx == nil {
			if tx, err = l.db.BeginTx(ctx, nil); err != nil {
				return err
			}
		}
		if err := t.add(ctx, tx, cells...); err != nil {
			return err
		}
		if count++; count%sqliteCommit == 0 {
			return commit()
		}
		return nil
	})
	if err != nil {
		if tx != nil {
			_ = tx.Rollback()
		}
		return err
	}
	return commit()
}

func (l *sqliteLoad) exec(ctx context.Context, statements ...string) error {
	for _, text := range statements {
		if _, err := l.db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// dropIndexes does so until done; the keys are the tables' own, and stay.
func (l *sqliteLoad) dropIndexes(ctx context.Context) error {
	rows, err := l.db.QueryContext(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('audit_events', 'audit_words')")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var drop []string
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return err
		}
		drop, l.indexes = append(drop, "DROP INDEX "+name), append(l.indexes, text)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err // closed before the one connection is wanted again
	}
	return l.exec(ctx, drop...)
}

func (l *sqliteLoad) events(ctx context.Context, orgs []*historyOrg, end int64) error {
	err := l.exec(ctx, "PRAGMA synchronous = OFF", "PRAGMA cache_size = -400000", "PRAGMA wal_autocheckpoint = 20000")
	if err == nil {
		err = l.dropIndexes(ctx)
	}
	if err != nil {
		return err
	}
	events, links := &sqliteTable{into: "audit_events (" + eventCells + ")", width: 17}, &sqliteTable{into: "audit_links (" + linkCells + ")", width: 5}
	return l.write(ctx, []*sqliteTable{events, links}, func(add func(*sqliteTable, ...any) error) error {
		return eachEvent(orgs, end, func(e models.AuditEvent, k models.AuditLink) error {
			err := add(events, string(e.ID), string(e.OrgID), e.At.Format("2006-01-02 15:04:05.999999999-07:00"), string(e.ActorKind), e.ActorID, e.ActorName,
				string(e.SessionID), e.Source, string(e.Action), e.ObjectKind, e.ObjectID, e.ObjectName, string(e.Outcome), e.Before, e.After, e.RequestID, e.Body)
			if err != nil {
				return err
			}
			return add(links, string(k.OrgID), k.Sequence, string(k.EventID), k.PreviousHash, k.Hash)
		})
	})
}

func (l *sqliteLoad) words(ctx context.Context, orgs []*historyOrg, model *historyOrg, words [][]historyWord, end int64) error {
	rows, blocks := &sqliteTable{into: "audit_words (" + wordCells + ")", width: 4}, &sqliteTable{into: "audit_blocks (" + blockCells + ")", width: 4}
	return l.write(ctx, []*sqliteTable{rows, blocks}, func(add func(*sqliteTable, ...any) error) error {
		err := eachBlock(orgs, end, func(org models.OrgID, block int, low, high string) error {
			return add(blocks, string(org), block, low, high)
		})
		if err != nil {
			return err
		}
		return eachWord(orgs, model, words, func(org models.OrgID, block int, w historyWord) error {
			return add(rows, string(org), block, w.word, w.places)
		})
	})
}

func (l *sqliteLoad) done(ctx context.Context) error {
	return l.exec(ctx, append(l.indexes, "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)",
		"PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -2000", "PRAGMA wal_autocheckpoint = 1000")...)
}

// together runs them all, and returns the first error.
func together(steps ...func() error) error {
	var (
		wait  sync.WaitGroup
		once  sync.Once
		first error
	)
	for _, step := range steps {
		wait.Go(func() {
			if err := step(); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wait.Wait()
	return first
}
