package models

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// ConsoleMode is what a console may do.
type ConsoleMode string

const (
	ConsoleOperate ConsoleMode = "operate" // screen and input
	ConsoleView    ConsoleMode = "view"    // screen only
)

// ConsoleTicket lets its bearer open one socket, once. It is stored hashed.
type ConsoleTicket struct {
	Hash       string `gorm:"primaryKey"` // SHA-256 of the ticket, hex
	OrgID      OrgID
	MachineID  MachineID
	UserID     UserID
	SessionID  SessionID
	Mode       ConsoleMode
	Takeover   bool             // ends whoever operates the machine
	Resumes    ConsoleSessionID // the lost console that this one stands in for, or ""
	CreatedAt  time.Time
	ExpiresAt  time.Time
	RedeemedAt *time.Time
}

// ConsoleSession is one socket's life.
type ConsoleSession struct {
	ID        ConsoleSessionID `gorm:"primaryKey"`
	OrgID     OrgID
	MachineID MachineID
	UserID    UserID
	SessionID SessionID
	Mode      ConsoleMode
	Node      string // the portal node that carries it
	Source    string
	Host      string // the ESXi host, as last seen; for the operator
	OpenedAt  time.Time
	SeenAt    time.Time // when its node last said that it is open
	ClosedAt  *time.Time
	BytesIn   int64 // from the browser
	BytesOut  int64 // to the browser
	Reason    string
	AskedEnd  ConsoleEnd // why it has been told to end, "" where it hasn't
	AskedBy   string     // by whom
}

// ConsoleEnd is why somebody else ends a console.
type ConsoleEnd string

const (
	ConsoleTakenOver ConsoleEnd = "taken_over" // by who operates the machine now
	ConsoleClosedBy  ConsoleEnd = "closed_by"  // by an org admin or an operator
)

// ConsoleAsk is what somebody wants of a machine's screen.
type ConsoleAsk struct {
	Mode     ConsoleMode
	Takeover bool
	Resumes  ConsoleSessionID
}

// ConsoleGrant is a redeemed ticket: who may see which machine, and how.
type ConsoleGrant struct {
	Ticket  ConsoleTicket
	Machine Machine
	Role    Role
	Actor   Actor
}

// InsertConsoleTicket stores a ticket for the Writer's actor.
func (w *Writer) InsertConsoleTicket(hash string, m *Machine, ask ConsoleAsk, ttl time.Duration) (ConsoleTicket, error) {
	t := ConsoleTicket{
		Hash: hash, MachineID: m.ID, UserID: UserID(w.actor.ID), SessionID: w.actor.SessionID,
		Mode: ask.Mode, Takeover: ask.Takeover, Resumes: ask.Resumes, CreatedAt: Now(), ExpiresAt: Now().Add(ttl),
	}
	if err := w.tx.Create(&t).Error; err != nil {
		return t, err
	}
	after := map[string]any{"mode": ask.Mode}
	if ask.Takeover {
		after["takeover"] = true
	}
	return t, w.Record(Event{Action: ActionConsoleTicket, Object: m.Object(), Outcome: OutcomeSucceeded, After: after})
}

// RedeemConsoleTicket spends a ticket: one UPDATE decides single use, expiry
// and session, on whichever node. Anything else is ErrNotFound. The machine,
// the membership and the account are read anew in the same transaction; the
// target comes from the database alone.
func (s *System) RedeemConsoleTicket(ctx context.Context, hash string, session SessionID) (ConsoleGrant, error) {
	var g ConsoleGrant
	err := s.changing(ctx, func(w *Writer) error {
		now := Now()
		done := w.tx.Model(&g.Ticket).Clauses(clause.Returning{}).
			Where("hash = ? AND session_id = ? AND redeemed_at IS NULL AND expires_at > ?", hash, session, now).
			Update("redeemed_at", now)
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return NotFound("ticket")
		}
		if err := w.tx.Take(&g.Machine, "org_id = ? AND id = ?", g.Ticket.OrgID, g.Ticket.MachineID).Error; err != nil {
			return absent(err, "machine")
		}
		actor, role, err := w.liveMember(g.Ticket.OrgID, g.Ticket.UserID, session)
		g.Actor, g.Role = actor, role
		return err
	})
	return g, err
}

// liveMember says as whom a session, or a token in its place, acts in an org
// now; role is "" where it, the account, the membership or the org has ended.
func (r *Reader) liveMember(org OrgID, user UserID, session SessionID) (Actor, Role, error) {
	var row struct {
		Role Role
		Name string
	}
	err := r.tx.Model(&Member{}).Select("members.role, users.name").
		Joins("JOIN orgs ON orgs.id = members.org_id AND orgs.suspended_at IS NULL").
		Joins("JOIN users ON users.id = members.user_id AND users.disabled_at IS NULL").
		Joins("JOIN sessions ON sessions.user_id = users.id AND sessions.id = ? AND sessions.revoked_at IS NULL AND sessions.expires_at > ?", session, Now()).
		Where("members.org_id = ? AND members.user_id = ? AND members.disabled_at IS NULL", org, user).Limit(1).Find(&row).Error
	if err != nil || row.Role != "" {
		return Actor{Kind: ActorUser, ID: string(user), Name: row.Name, SessionID: session}, row.Role, err
	}
	return r.liveToken(org, user, TokenID(session))
}

// CloseConsole ends a console session, once, and tells the history.
func (s *System) CloseConsole(ctx context.Context, c ConsoleSession, actor Actor, machine Object, reason string, bytesIn, bytesOut int64) error {
	return s.Within(ctx, c.OrgID, actor, func(w *Writer) error {
		return w.closeConsole(c, machine, reason, bytesIn, bytesOut)
	})
}

func (w *Writer) closeConsole(c ConsoleSession, machine Object, reason string, bytesIn, bytesOut int64) error {
	now := Now()
	done := w.tx.Model(&ConsoleSession{}).Where("id = ? AND closed_at IS NULL", c.ID).Updates(map[string]any{
		"closed_at": now, "reason": reason, "bytes_in": bytesIn, "bytes_out": bytesOut})
	if done.Error != nil || done.RowsAffected == 0 {
		return done.Error
	}
	if err := w.ReturnQuota(Amounts{ResourceConsoles: 1}); err != nil {
		return err
	}
	if err := w.returnConsoleLoad(c); err != nil {
		return err
	}
	w.touch("console", string(c.MachineID))
	return w.Record(Event{Action: ActionConsoleClose, Object: machine, Outcome: OutcomeSucceeded, After: map[string]any{
		"console": c.ID, "reason": reason, "bytes_in": bytesIn, "bytes_out": bytesOut,
		"seconds": int64(now.Sub(c.OpenedAt).Seconds()),
	}})
}

// CloseStaleConsoles ends what a killed node left open, when it starts again.
func (s *System) CloseStaleConsoles(ctx context.Context, node string) error {
	return s.closeConsoles(ctx, "the portal was restarted", "node = ?", node)
}

// ConsoleTraffic is what a console has carried so far.
type ConsoleTraffic struct {
	ID      ConsoleSessionID
	In, Out int64
}

// SeeConsoles notes that these sessions are open still, and of some what they
// have carried. It announces nothing: there may be thousands, every few seconds.
func (s *System) SeeConsoles(ctx context.Context, ids []ConsoleSessionID, traffic []ConsoleTraffic) error {
	const atOnce = 500
	for len(ids) > 0 || len(traffic) > 0 {
		some, of := ids[:min(len(ids), atOnce)], traffic[:min(len(traffic), atOnce)]
		ids, traffic = ids[len(some):], traffic[len(of):]
		err := s.changing(ctx, func(w *Writer) error {
			for _, t := range of {
				err := w.tx.Model(&ConsoleSession{}).Where("id = ? AND closed_at IS NULL", t.ID).
					Updates(map[string]any{"bytes_in": t.In, "bytes_out": t.Out}).Error
				if err != nil {
					return err
				}
			}
			if len(some) == 0 {
				return nil
			}
			return w.tx.Model(&ConsoleSession{}).Where("id IN ? AND closed_at IS NULL", some).Update("seen_at", Now()).Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// CloseLostConsoles ends what no node has spoken for during the given time: its
// node is gone for good, or could not store the end. Any node may call it.
func (s *System) CloseLostConsoles(ctx context.Context, silent time.Duration) error {
	return s.closeConsoles(ctx, "the portal's node was lost", "seen_at < ?", Now().Add(-silent))
}

func (s *System) closeConsoles(ctx context.Context, reason, where string, value any) error {
	var open []struct {
		ConsoleSession
		MachineName string
	}
	err := s.reading(ctx, func(r *Reader) error {
		return r.tx.Model(&ConsoleSession{}).Select("console_sessions.*, machines.name AS machine_name").
			Joins("JOIN machines ON machines.id = console_sessions.machine_id").
			Where("closed_at IS NULL").Where(where, value).Find(&open).Error
	})
	for _, c := range open {
		if err != nil {
			break
		}
		err = s.CloseConsole(ctx, c.ConsoleSession, SystemActor,
			Object{Kind: "machine", ID: string(c.MachineID), Name: c.MachineName}, reason, c.BytesIn, c.BytesOut)
	}
	return err
}

// SweepConsoleTickets removes tickets that can't be redeemed any more.
func (s *System) SweepConsoleTickets(ctx context.Context) error {
	return s.changing(ctx, func(w *Writer) error {
		return w.tx.Where("expires_at < ?", Now().Add(-time.Hour)).Delete(&ConsoleTicket{}).Error
	})
}
