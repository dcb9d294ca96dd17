package models

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// consoleFresh is how long a console counts as somebody's who looks at it
// without a word of its node, which speaks every five seconds: a killed node's
// are not in anybody's way for longer.
const consoleFresh = 16 * time.Second

// ConsoleLimits is how many consoles may be open at once; 0 is any number.
type ConsoleLimits struct {
	User    int
	Machine int
	Host    int // of an ESXi host
}

// consoleLoad counts the open consoles of one user, machine or host.
type consoleLoad struct {
	Kind string `gorm:"primaryKey"`
	Key  string `gorm:"primaryKey"`
	Used int64
}

// TableName is the plural.
func (consoleLoad) TableName() string { return "console_loads" }

// hostKey names an ESXi host beside others of the same name elsewhere; "" for
// a machine whose host nobody has seen yet.
func hostKey(cloud CloudID, host string) string {
	if host == "" {
		return ""
	}
	return string(cloud) + "/" + host
}

// loads lists what a console counts for, in the order in which rows are
// locked, so that no two wait for each other.
func (l ConsoleLimits) loads(user UserID, machine MachineID, host string) []struct {
	consoleLoad
	most     int
	sentence string
} {
	return []struct {
		consoleLoad
		most     int
		sentence string
	}{
		{consoleLoad{Kind: "user", Key: string(user)}, l.User, "One person may have %s open at once, and you have. Close one that you don't need."},
		{consoleLoad{Kind: "machine", Key: string(machine)}, l.Machine, "A machine may have %s open at once, and this one has. Try again when somebody has left."},
		{consoleLoad{Kind: "host", Key: host}, l.Host, "The host of this machine carries %s at once, and does. Try again in a moment."},
	}
}

func consolesText[N int | int64](n N) string {
	if n == 1 {
		return "1 console"
	}
	return fmt.Sprintf("%d consoles", n)
}

// consoleRetrySeconds is how soon to look whether a console was closed.
const consoleRetrySeconds = 10

// takeConsoleLoad counts a console: each by one statement that decides, so
// that a hundred at once under a cap of ten open exactly ten.
func (w *Writer) takeConsoleLoad(c ConsoleSession, limits ConsoleLimits) error {
	for _, l := range limits.loads(c.UserID, c.MachineID, c.Host) {
		if l.Key == "" {
			continue
		}
		onConflict := clause.OnConflict{
			Columns:   []clause.Column{{Name: "kind"}, {Name: "key"}},
			DoUpdates: clause.Assignments(map[string]any{"used": gorm.Expr("console_loads.used + 1")}),
		}
		if l.most > 0 {
			onConflict.Where = clause.Where{Exprs: []clause.Expression{gorm.Expr("console_loads.used < ?", l.most)}}
		}
		row := l.consoleLoad
		row.Used = 1
		done := w.tx.Clauses(onConflict).Create(&row)
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return TooMany(fmt.Sprintf(l.sentence, consolesText(l.most)), consoleRetrySeconds)
		}
	}
	return nil
}

func (w *Writer) returnConsoleLoad(c ConsoleSession) error {
	for _, l := range (ConsoleLimits{}).loads(c.UserID, c.MachineID, c.Host) {
		if l.Key == "" {
			continue
		}
		err := w.tx.Model(&consoleLoad{}).Where("kind = ? AND key = ? AND used > 0", l.Kind, l.Key).
			Update("used", exprAdd("used", -1)).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// ConsoleRoom says whether one more console of the machine may open now. The
// opening itself decides; this spares its user the way there.
func (w *Writer) ConsoleRoom(m *Machine, limits ConsoleLimits) error {
	var quota Quota
	if err := w.tx.Limit(1).Find(&quota, "resource = ?", ResourceConsoles).Error; err != nil {
		return err
	}
	if quota.Used >= quota.Ceiling {
		return TooMany(fmt.Sprintf("The org may have %s open at once, and has. Close one that nobody needs.", consolesText(quota.Ceiling)), consoleRetrySeconds)
	}
	for _, l := range limits.loads(UserID(w.actor.ID), m.ID, hostKey(m.CloudID, m.Host)) {
		if l.Key == "" || l.most <= 0 {
			continue
		}
		var row consoleLoad
		if err := w.tx.Limit(1).Find(&row, "kind = ? AND key = ?", l.Kind, l.Key).Error; err != nil {
			return err
		}
		if row.Used >= int64(l.most) {
			return TooMany(fmt.Sprintf(l.sentence, consolesText(l.most)), consoleRetrySeconds)
		}
	}
	return nil
}

// OpenConsole stores a console session, takes its place in quota and caps,
// ends whom it takes over from and what it stands in for, and tells the
// history, in one transaction. A Conflict: somebody else operates the machine.
func (s *System) OpenConsole(ctx context.Context, g ConsoleGrant, node string, limits ConsoleLimits) (ConsoleSession, error) {
	c := ConsoleSession{
		ID: NewID[ConsoleSessionID](), MachineID: g.Machine.ID, UserID: g.Ticket.UserID, SessionID: g.Ticket.SessionID,
		Mode: g.Ticket.Mode, Node: node, Source: g.Actor.Source, Host: hostKey(g.Machine.CloudID, g.Machine.Host),
		OpenedAt: Now(), SeenAt: Now(),
	}
	err := s.Within(ctx, g.Ticket.OrgID, g.Actor, func(w *Writer) error {
		if err := w.endResumed(g); err != nil {
			return err
		}
		// The quota's row, once taken, makes the org's openings wait for each
		// other: whoever looks for operators next sees this one.
		if err := w.TakeQuota(Amounts{ResourceConsoles: 1}); err != nil {
			return err
		}
		if err := w.takeConsoleLoad(c, limits); err != nil {
			return err
		}
		after := map[string]any{"mode": c.Mode, "console": c.ID}
		if c.Mode == ConsoleOperate {
			names, err := w.takeOver(g)
			if err != nil {
				return err
			}
			if len(names) > 0 {
				after["taken_over_from"] = names
			}
		}
		if err := w.tx.Create(&c).Error; err != nil {
			return err
		}
		w.touch("console", string(c.MachineID))
		return w.Record(Event{Action: ActionConsoleOpen, Object: g.Machine.Object(), Outcome: OutcomeSucceeded, After: after})
	})
	return c, err
}

// endResumed closes the lost console that the ticket stands in for: its own
// user's, of the same machine.
func (w *Writer) endResumed(g ConsoleGrant) error {
	if g.Ticket.Resumes == "" {
		return nil
	}
	var old ConsoleSession
	err := w.tx.Limit(1).Find(&old, "id = ? AND machine_id = ? AND session_id = ? AND closed_at IS NULL",
		g.Ticket.Resumes, g.Machine.ID, g.Ticket.SessionID).Error
	if err != nil || old.ID == "" {
		return err
	}
	return w.closeConsole(old, g.Machine.Object(), "resumed by a new connection", old.BytesIn, old.BytesOut)
}

// takeOver tells those who operate the machine to end, or refuses. Those of
// whom nothing was heard are told as well: their node may live after all.
func (w *Writer) takeOver(g ConsoleGrant) (names []string, err error) {
	viewers, err := w.consolesOf(g.Machine.ID)
	if err != nil {
		return nil, err
	}
	for _, v := range viewers {
		if !v.operatesBeside(g.Ticket.SessionID) {
			continue
		}
		if v.heardOf() && !g.Ticket.Takeover {
			return nil, Conflict(v.UserName + " operates this machine's console.")
		}
		if err := w.askEnd(v.ConsoleSession, ConsoleTakenOver, g.Actor.Name); err != nil {
			return nil, err
		}
		if !slices.Contains(names, v.UserName) {
			names = append(names, v.UserName)
		}
	}
	return names, nil
}

// askEnd marks a console as to be ended; its node sees to it.
func (w *Writer) askEnd(c ConsoleSession, why ConsoleEnd, by string) error {
	w.touchOf(c.OrgID, "console", string(c.MachineID))
	return w.tx.Model(&ConsoleSession{}).Where("id = ? AND closed_at IS NULL AND asked_end = ''", c.ID).
		Updates(map[string]any{"asked_end": why, "asked_by": by}).Error
}

// ConsoleRow is an open console with the names of what it refers to.
type ConsoleRow struct {
	ConsoleSession
	MachineName string
	UserName    string
	OrgName     string
	OrgSlug     string
}

// Object is how the history names the console's machine.
func (c ConsoleRow) Object() Object {
	return Object{Kind: "machine", ID: string(c.MachineID), Name: c.MachineName}
}

// inTheWayOf says whether the console keeps another session from operating.
func (c ConsoleRow) inTheWayOf(session SessionID) bool {
	return c.operatesBeside(session) && c.heardOf()
}

func (c ConsoleRow) operatesBeside(session SessionID) bool {
	return c.Mode == ConsoleOperate && c.SessionID != session && c.AskedEnd == ""
}

// heardOf says whether the console's node has spoken for it lately.
func (c ConsoleRow) heardOf() bool { return c.SeenAt.After(Now().Add(-consoleFresh)) }

func (r *Reader) openConsoles() *gorm.DB {
	return r.tx.Model(&ConsoleSession{}).
		Select("console_sessions.*, machines.name AS machine_name, COALESCE(users.name, '') AS user_name, orgs.name AS org_name, orgs.slug AS org_slug").
		Joins("JOIN machines ON machines.id = console_sessions.machine_id").
		Joins("JOIN orgs ON orgs.id = console_sessions.org_id").
		Joins("LEFT JOIN users ON users.id = console_sessions.user_id").
		Where("console_sessions.closed_at IS NULL")
}

func (r *Reader) consolesOf(machine MachineID) ([]ConsoleRow, error) {
	var rows []ConsoleRow
	return rows, r.openConsoles().Where("console_sessions.machine_id = ?", machine).Order("console_sessions.id").Find(&rows).Error
}

// ConsoleOperators lists who operates the machine's console, but for one
// session: those whom it would have to take over from.
func (r *Reader) ConsoleOperators(machine MachineID, but SessionID) ([]ConsoleRow, error) {
	rows, err := r.consolesOf(machine)
	return slices.DeleteFunc(rows, func(c ConsoleRow) bool { return !c.inTheWayOf(but) }), err
}

// ConsoleViewers lists who has the machine's console open.
func (s *System) ConsoleViewers(ctx context.Context, org OrgID, machine MachineID) ([]ConsoleRow, error) {
	var rows []ConsoleRow
	err := s.Look(ctx, org, func(r *Reader) (err error) {
		rows, err = r.consolesOf(machine)
		return err
	})
	return slices.DeleteFunc(rows, func(c ConsoleRow) bool { return !c.heardOf() }), err
}

// ConsoleFilter narrows the list of open consoles. Empty fields don't.
type ConsoleFilter struct {
	Search string // part of the machine's name, or of who looks at it: name or address
	Page   Paging
}

// OpenConsoles returns a page of the org's open consoles, the oldest first.
func (r *Reader) OpenConsoles(f ConsoleFilter) (Page[ConsoleRow], error) {
	return r.consolePage(f, "machines.name", "users.name", "users.email")
}

// consolePage searches in the given columns.
func (r *Reader) consolePage(f ConsoleFilter, columns ...string) (Page[ConsoleRow], error) {
	q := r.openConsoles()
	if f.Search != "" {
		like := likeText(f.Search)
		var conditions []string
		var likes []any
		for _, column := range columns {
			conditions, likes = append(conditions, "LOWER("+column+`) LIKE ? ESCAPE '\'`), append(likes, like)
		}
		q = q.Where("("+strings.Join(conditions, " OR ")+")", likes...)
	}
	return fetchPage(q, f.Page, keyset{table: "console_sessions"}, find[ConsoleRow],
		func(c *ConsoleRow) (string, string) { return "", string(c.ID) })
}

// OpenConsole returns one open console of the org.
func (r *Reader) OpenConsole(id ConsoleSessionID) (ConsoleRow, error) {
	var row ConsoleRow
	return row, absent(r.openConsoles().Where("console_sessions.id = ?", id).Take(&row).Error, "open console")
}

// EndConsole tells an open console of the org to end, by the Writer's actor.
func (w *Writer) EndConsole(id ConsoleSessionID) (ConsoleRow, error) {
	row, err := w.OpenConsole(id)
	if err != nil {
		return row, err
	}
	if err := w.askEnd(row.ConsoleSession, ConsoleClosedBy, w.actor.Name); err != nil {
		return row, err
	}
	return row, w.recordFor(row.OrgID, Event{Action: ActionConsoleEnd, Object: row.Object(), Outcome: OutcomeSucceeded,
		After: map[string]any{"console": row.ID, "of": row.UserName}})
}

// OpenConsoles returns a page of every org's open consoles, the oldest first.
// The search looks at the orgs' names too.
func (p *Provider) OpenConsoles(ctx context.Context, f ConsoleFilter) (page Page[ConsoleRow], err error) {
	err = p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) error {
		page, err = r.consolePage(f, "machines.name", "users.name", "users.email", "orgs.name", "orgs.slug")
		return err
	})
	return page, err
}

// OpenConsole returns one open console.
func (p *Provider) OpenConsole(ctx context.Context, id ConsoleSessionID) (ConsoleRow, error) {
	var row ConsoleRow
	err := p.db.reading(ctx, scopeValue{all: true}, func(r *Reader) (err error) {
		row, err = r.OpenConsole(id)
		return err
	})
	return row, err
}

// EndConsole tells an open console to end. Its org's history says so.
func (p *Provider) EndConsole(ctx context.Context, id ConsoleSessionID) (ConsoleRow, error) {
	if !p.Can(ProviderWrite) {
		return ConsoleRow{}, Forbidden("Only operators close consoles.")
	}
	var row ConsoleRow
	err := p.db.changing(ctx, scopeValue{all: true}, p.actor, true, func(w *Writer) (err error) {
		row, err = w.EndConsole(id)
		return err
	})
	return row, err
}
