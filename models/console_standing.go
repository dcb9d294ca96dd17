package models

import "context"

// ConsoleStanding is what decides whether an open console may stay open.
type ConsoleStanding struct {
	Role    Role         // of its user now, "" where session, account, membership or org has ended
	State   MachineState // "" where the machine is not there
	Ended   bool         // closed in the records: resumed elsewhere, or counted as lost
	Asked   ConsoleEnd   // somebody told it to end
	AskedBy string
}

// standingRow brings all of it in one query. A console belongs to a session or
// to a token, whose id stands in its place.
type standingRow struct {
	ID        ConsoleSessionID
	State     MachineState
	Member    Role
	SessionID SessionID
	Token     Role
	Ended     bool
	AskedEnd  ConsoleEnd
	AskedBy   string
}

func (r standingRow) standing() ConsoleStanding {
	s := ConsoleStanding{State: r.State, Ended: r.Ended, Asked: r.AskedEnd, AskedBy: r.AskedBy}
	switch {
	case r.SessionID != "":
		s.Role = r.Member
	case r.Token != "":
		s.Role = WeakerRole(r.Token, r.Member)
	}
	return s
}

// ConsoleStandings looks at many open consoles at once: a node that carries
// thousands looks at them all every few seconds. One that is missing in the
// answer has no record.
func (s *System) ConsoleStandings(ctx context.Context, ids []ConsoleSessionID) (map[ConsoleSessionID]ConsoleStanding, error) {
	const atOnce = 500
	all := make(map[ConsoleSessionID]ConsoleStanding, len(ids))
	for start := 0; start < len(ids); start += atOnce {
		var rows []standingRow
		now := Now()
		err := s.reading(ctx, func(r *Reader) error {
			return r.tx.Model(&ConsoleSession{}).
				Select(`console_sessions.id, COALESCE(machines.state, '') AS state, COALESCE(members.role, '') AS member,
					COALESCE(sessions.id, '') AS session_id, COALESCE(api_tokens.role, '') AS token,
					(console_sessions.closed_at IS NOT NULL) AS ended, asked_end, asked_by`).
				Joins("LEFT JOIN machines ON machines.org_id = console_sessions.org_id AND machines.id = console_sessions.machine_id").
				Joins("LEFT JOIN orgs ON orgs.id = console_sessions.org_id AND orgs.suspended_at IS NULL").
				Joins("LEFT JOIN users ON users.id = console_sessions.user_id AND users.disabled_at IS NULL").
				Joins("LEFT JOIN members ON members.org_id = orgs.id AND members.user_id = users.id AND members.disabled_at IS NULL").
				Joins(`LEFT JOIN sessions ON sessions.id = console_sessions.session_id AND sessions.user_id = users.id
					AND sessions.revoked_at IS NULL AND sessions.expires_at > ?`, now).
				Joins(`LEFT JOIN api_tokens ON api_tokens.id = console_sessions.session_id AND api_tokens.org_id = orgs.id
					AND api_tokens.user_id = users.id AND api_tokens.revoked_at IS NULL AND api_tokens.expires_at > ?`, now).
				Where("console_sessions.id IN ?", ids[start:min(start+atOnce, len(ids))]).Find(&rows).Error
		})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			all[row.ID] = row.standing()
		}
	}
	return all, nil
}
