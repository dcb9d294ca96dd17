package identity

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
)

// hashCost is what one guess costs: 64 MiB, about 165 ms of one core. One lane,
// so that a hash occupies one core and not all of them.
func hashCost() *argon2id.Params {
	return &argon2id.Params{Memory: 64 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// passwordMaxBytes bounds what is hashed; longer input is refused unread.
const passwordMaxBytes = 1024

// HashPassword encodes a password for storage, with its parameters and salt.
func HashPassword(password string) (string, error) {
	hash, err := argon2id.CreateHash(password, hashCost())
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// passwords compares, a few at a time: each takes 64 MiB while it runs.
type passwords struct {
	slots chan struct{}
	decoy func() (string, error)
	// hashed counts, so that a test can say that two answers took the same work.
	hashed atomic.Int64
}

func newPasswords(simultaneous int) *passwords {
	return &passwords{
		slots: make(chan struct{}, simultaneous),
		// Nobody's password, made when first needed, so that a start doesn't
		// wait for it.
		decoy: sync.OnceValues(func() (string, error) { return HashPassword(newToken()) }),
	}
}

// enter waits for a slot; call the result to give it back.
func (p *passwords) enter(ctx context.Context) (func(), error) {
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// match compares. An account without a password is compared with nobody's, so
// that the answer takes as long and is always no.
func (p *passwords) match(password, hash string) (bool, error) {
	p.hashed.Add(1)
	known := hash != ""
	if !known {
		var err error
		if hash, err = p.decoy(); err != nil {
			return false, err
		}
	}
	same, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare password: %w", err)
	}
	return same && known, nil
}
