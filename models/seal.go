package models

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// newSeal makes the cipher for secrets at rest: AES-256-GCM.
func newSeal(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("encryption key has %d bytes, wants 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealSecret encrypts under a fresh nonce; owner (the row's id) is bound in,
// so that a sealed value moved to another row does not open.
func (db *DB) sealSecret(owner, secret string) []byte {
	nonce := make([]byte, db.seal.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return db.seal.Seal(nonce, nonce, []byte(secret), []byte(owner))
}

func (db *DB) openSecret(owner string, sealed []byte) (string, error) {
	n := db.seal.NonceSize()
	if len(sealed) < n {
		return "", errors.New("sealed secret is too short")
	}
	plain, err := db.seal.Open(nil, sealed[:n], sealed[n:], []byte(owner))
	if err != nil {
		return "", errors.New("sealed secret does not open with this key")
	}
	return string(plain), nil
}
