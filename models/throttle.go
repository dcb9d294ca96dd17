package models

import (
	"context"
	"time"
)

// Throttle counts failures under a key (an account, a source) in a window.
type Throttle struct {
	Key       string `gorm:"primaryKey"`
	Failures  int
	WindowEnd time.Time
}

// Throttled returns how long the key has to wait: zero where it may go on.
func (s *System) Throttled(ctx context.Context, key string, limit int) (time.Duration, error) {
	var t Throttle
	err := s.reading(ctx, func(r *Reader) error {
		return r.tx.Where("key = ?", key).Limit(1).Find(&t).Error
	})
	if err != nil || t.Failures < limit {
		return 0, err
	}
	return max(0, time.Until(t.WindowEnd)), nil
}

// CountFailure adds one under the key and returns the count in this window.
func (s *System) CountFailure(ctx context.Context, key string, window time.Duration) (failures int, err error) {
	err = s.changing(ctx, func(w *Writer) error {
		failures, err = countFailure(w.tx, key, Now(), Now().Add(window))
		return err
	})
	return failures, err
}

// ForgetFailures clears the key after a success.
func (s *System) ForgetFailures(ctx context.Context, key string) error {
	return s.changing(ctx, func(w *Writer) error {
		return w.tx.Where("key = ?", key).Delete(&Throttle{}).Error
	})
}
