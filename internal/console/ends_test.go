package console

import (
	"context"
	"testing"
	"time"

	"github.com/millwright/millwright/models"
)

// As in production, with nothing announced: the regular round alone ends a
// socket within five seconds of whatever takes its right away.
func TestSocketEndsWithinFiveSecondsOfLosingItsRight(t *testing.T) {
	t.Parallel()
	statement := func(text string) func(*bench, person) {
		return func(b *bench, p person) {
			b.exec(text, string(p.who.User.ID), string(p.who.Actor.SessionID), string(b.world.Acme.ID))
		}
	}
	for name, c := range map[string]struct {
		take func(*bench, person)
		want ending
		by   func(*bench) person
	}{
		"session revoked":  {take: statement("UPDATE sessions SET revoked_at = CURRENT_TIMESTAMP WHERE user_id = $1 AND id = $2 AND $3 <> ''"), want: endForbidden},
		"session expired":  {take: statement("UPDATE sessions SET expires_at = created_at WHERE user_id = $1 AND id = $2 AND $3 <> ''"), want: endForbidden},
		"role changed":     {take: statement("UPDATE members SET role = 'auditor' WHERE user_id = $1 AND $2 <> '' AND org_id = $3"), want: endForbidden},
		"member removed":   {take: statement("DELETE FROM members WHERE user_id = $1 AND $2 <> '' AND org_id = $3"), want: endForbidden},
		"member disabled":  {take: statement("UPDATE members SET disabled_at = CURRENT_TIMESTAMP WHERE user_id = $1 AND $2 <> '' AND org_id = $3"), want: endForbidden},
		"user disabled":    {take: statement("UPDATE users SET disabled_at = CURRENT_TIMESTAMP WHERE id = $1 AND $2 <> '' AND $3 <> ''"), want: endForbidden},
		"org suspended":    {take: statement("UPDATE orgs SET suspended_at = CURRENT_TIMESTAMP WHERE $1 <> '' AND $2 <> '' AND id = $3"), want: endForbidden},
		"machine off":      {take: statement("UPDATE machines SET state = 'stopped' WHERE $1 <> '' AND $2 <> '' AND org_id = $3"), want: endNotOn},
		"machine deleting": {take: statement("UPDATE machines SET state = 'deleting' WHERE $1 <> '' AND $2 <> '' AND org_id = $3"), want: endGone},
		"token revoked": {take: statement("UPDATE api_tokens SET revoked_at = CURRENT_TIMESTAMP WHERE user_id = $1 AND id = $2 AND org_id = $3"),
			want: endForbidden, by: func(b *bench) person { return b.program("one") }},
		"token expired": {take: statement("UPDATE api_tokens SET expires_at = created_at WHERE user_id = $1 AND id = $2 AND org_id = $3"),
			want: endForbidden, by: func(b *bench) person { return b.program("one") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(s *Service) { s.timing = production })
			p, header := b.user(), map[string][]string(nil)
			if c.by != nil {
				p = c.by(b)
				header = byToken(p)
			}
			conn, _, err := b.dial(p, b.ticket(p, models.ConsoleOperate), header)
			if err != nil {
				t.Fatal(err)
			}
			b.read(conn, len(greeting))
			c.take(b, p)
			begun := time.Now()
			b.wantClose(conn, c.want)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// exec changes what no door of models announces.
func (b *bench) exec(statement string, args ...any) {
	b.t.Helper()
	done, err := b.world.DB.SQL().ExecContext(context.Background(), statement, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	if n, _ := done.RowsAffected(); n != 1 {
		b.t.Fatalf("%d rows were changed by %s", n, statement)
	}
}
