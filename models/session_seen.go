package models

import "context"

// SeeSession notes that a live session was used, and leaves its data alone, so
// that it can't take back what a request beside it has just saved.
func (s *System) SeeSession(ctx context.Context, id SessionID) error {
	return s.changing(ctx, func(w *Writer) error {
		return w.tx.Model(&Session{}).Where("id = ? AND revoked_at IS NULL", id).Update("last_seen_at", Now()).Error
	})
}
