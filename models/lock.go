package models

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"
)

// ErrLockLost says that the connection which held a lock ended.
var ErrLockLost = errors.New("models: the lock was lost")

// lockCheck is how often the holder makes sure that it still is. A node that
// lost its connection stops within this time.
const lockCheck = 5 * time.Second

// Exclusively runs fn on one node at a time for each name, and waits for its
// turn. fn's context ends when the lock is lost. The lock is the database
// session's, on a connection of its own, so that a dead node's goes with it.
// On SQLite there is one node, which needs none.
func (s *System) Exclusively(ctx context.Context, name string, fn func(context.Context) error) error {
	if s.db.kind == SQLite {
		return fn(ctx)
	}
	pooled, err := s.db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect for the lock %s: %w", name, err)
	}
	conn := pooled.Hijack()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockKey(name)); err != nil {
		return fmt.Errorf("wait for the lock %s: %w", name, err)
	}
	held, lose := context.WithCancelCause(ctx)
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		ticker := time.NewTicker(lockCheck)
		defer ticker.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			checking, cancel := context.WithTimeout(held, lockCheck)
			_, err := conn.Exec(checking, "SELECT 1")
			cancel()
			if err != nil && held.Err() == nil {
				lose(fmt.Errorf("%w: %s: %w", ErrLockLost, name, err))
				return
			}
		}
	}()
	err = fn(held)
	if lost := context.Cause(held); errors.Is(lost, ErrLockLost) {
		err = lost
	}
	lose(nil)
	<-checked
	return err
}

// latch waits for the name's latch and holds it until the transaction ends:
// many may share it, or one has it alone. SQLite has one writer at a time.
func (w *Writer) latch(name string, share bool) error {
	if w.db.kind != PostgreSQL {
		return nil
	}
	return latch(w.tx, lockKey(name), share)
}

// lockKey spreads names over the advisory locks' numbers, in a corner of their
// own: River hashes its into the same space.
func lockKey(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("millwright/" + name))
	return int64(h.Sum64()) // #nosec G115 -- any number will do
}
