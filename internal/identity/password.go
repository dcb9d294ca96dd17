package identity

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
)

// hashCost is what one guess costs: 64 MiB, about 165 ms of one core. One lane,
// so that a hash occupies one core and not all of them.
func hashCost() *argon2id.Params {
	return &argon2id.Params{Memory: 64 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// argon2Version is the one that RFC 9106 describes, and that all hashes name.
const argon2Version = 0x13

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

// passwords hashes, a few at a time: each takes 64 MiB while it runs.
type passwords struct {
	slots chan struct{}
	decoy string
	// hashed counts, so that a test can say that two answers took the same work.
	hashed atomic.Int64
}

func newPasswords(simultaneous int) *passwords {
	return &passwords{slots: make(chan struct{}, simultaneous), decoy: newDecoy()}
}

// newDecoy is nobody's: random bytes in place of a hash, which no password is
// known to give. To make it costs no hash, so that a start doesn't wait for
// one, nor the first sign-in to an unknown account take two.
func newDecoy() string {
	cost := hashCost()
	random := make([]byte, cost.SaltLength+cost.KeyLength)
	_, _ = rand.Read(random) // never fails
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2Version, cost.Memory, cost.Iterations, cost.Parallelism,
		text(random[:cost.SaltLength]), text(random[cost.SaltLength:]))
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

// create is HashPassword in a slot, counted.
func (p *passwords) create(ctx context.Context, password string) (string, error) {
	leave, err := p.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	p.hashed.Add(1)
	return HashPassword(password)
}

// match compares. An account without a password is compared with nobody's, so
// that the answer takes as long and is always no.
func (p *passwords) match(password, hash string) (bool, error) {
	p.hashed.Add(1)
	same, err := argon2id.ComparePasswordAndHash(password, cmp.Or(hash, p.decoy))
	if err != nil {
		return false, fmt.Errorf("compare password: %w", err)
	}
	return same && hash != "", nil
}
